package embedded

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

const (
	maxLine   = 64 << 10 // A longer line is cut in pieces.
	tailLines = 10
)

// lineWriter hands whole lines on and remembers the last ones.
type lineWriter struct {
	out io.Writer

	mu   sync.Mutex
	part []byte
	tail []string
}

// Write implements io.Writer. It never fails: a child must not end because its log cannot be kept.
func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(b)
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		w.part = append(w.part, line...)
		if whole || len(w.part) >= maxLine {
			w.emit()
		}
		b = rest
	}
	return n, nil
}

func (w *lineWriter) emit() {
	line := append(bytes.TrimRight(w.part, "\r"), '\n')
	_, _ = w.out.Write(line)
	if len(w.tail) == tailLines {
		w.tail = append(w.tail[:0], w.tail[1:]...)
	}
	w.tail = append(w.tail, string(line))
	w.part = w.part[:0]
}

// end hands on what stands after the last line break.
func (w *lineWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.part) > 0 {
		w.emit()
	}
}

func (w *lineWriter) tailText() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(strings.Join(w.tail, ""))
}
