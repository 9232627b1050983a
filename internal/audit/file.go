package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// file is where lines go. One goroutine uses it.
type file struct {
	path   string
	w      io.Writer // When path is "-".
	f      *os.File  // Nil = closed.
	torn   bool      // The last line was cut off.
	failed bool
}

func (o *file) open() error {
	f, err := os.OpenFile(o.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if o.torn = info.Size() > 0; o.torn {
		// A process that was killed may have left half a line; an empty line before the next is harmless.
		o.torn = !endsLine(o.path, info.Size())
	}
	o.f = f
	return nil
}

func endsLine(path string, size int64) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close() //nolint:errcheck // It was only read.
	var last [1]byte
	_, err = f.ReadAt(last[:], size-1)
	return err != nil || last[0] == '\n'
}

func (o *file) close() error {
	if o.f == nil {
		return nil
	}
	err := o.f.Close()
	o.f = nil
	return err
}

// line writes an entry. A file that was renamed or removed is left for a new one
// under its name: that is how logs are rotated.
func (o *file) line(e Entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if o.path == "-" {
		_, err = o.w.Write(b)
		return err
	}
	if o.moved() {
		if err := o.close(); err != nil {
			return err
		}
	}
	if o.f == nil {
		if err := o.open(); err != nil {
			return err
		}
	}
	if o.torn {
		b = append([]byte{'\n'}, b...)
	}
	n, err := o.f.Write(b)
	if n > 0 {
		o.torn = n < len(b)
	}
	if err != nil {
		return fmt.Errorf("cannot write to it: %w", err)
	}
	return nil
}

func (o *file) moved() bool {
	if o.f == nil {
		return false
	}
	own, err := o.f.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(o.path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(own, there)
}
