package testenv

import (
	"fmt"
	"io"
	"log" //nolint:depguard // What libraries write to.
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
)

// What a failed test shows of a log: its last lines, and of each so much. One of
// Beam's plans is a line of some hundred kilobytes.
const (
	pageLines = 60
	lineWidth = 300
)

// Page returns the last page of a log.
func Page(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var b strings.Builder
	if n := len(lines) - pageLines; n > 0 {
		fmt.Fprintf(&b, "(%d lines before these)\n", n)
		lines = lines[n:]
	}
	for _, line := range lines {
		if len(line) > lineWidth {
			line = fmt.Sprintf("%s … (%d bytes)", strings.ToValidUTF8(line[:lineWidth], ""), len(line))
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// Quietly runs the tests of a package in whose process Beam runs, and keeps what
// it and others log to themselves: those that fail show the last page of it.
func Quietly(m *testing.M) (code int) {
	r, w, err := os.Pipe()
	if err != nil {
		return m.Run() // Loudly, then.
	}
	stderr := os.Stderr
	kept := new(lastLines)
	var reader sync.WaitGroup
	reader.Go(func() { _, _ = io.Copy(kept, r) })
	os.Stderr = w
	log.SetOutput(w)
	slog.SetDefault(slog.New(slog.NewTextHandler(w, nil)))
	code = m.Run()
	os.Stderr = stderr
	log.SetOutput(stderr)
	_ = w.Close()
	reader.Wait()
	if code != 0 {
		_, _ = io.WriteString(stderr, "the last of what was logged:\n"+Page(string(kept.b)))
	}
	return code
}

// lastLines keeps the end of what is written to it.
type lastLines struct{ b []byte }

const keptBytes = 1 << 20

// Write never fails.
func (l *lastLines) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	if len(l.b) > 2*keptBytes {
		l.b = append(l.b[:0], l.b[len(l.b)-keptBytes:]...)
	}
	return len(p), nil
}
