package send

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Format is what a text holds.
type Format string

// The formats.
const (
	Auto   Format = "auto"   // By the name of the file, else by the first character.
	JSON   Format = "json"   // An event, an array of them, {"events":[…]}, or several of these.
	NDJSON Format = "ndjson" // An event a line.
	Lines  Format = "lines"  // The line protocol of InfluxDB.
)

// Formats are all of them.
func Formats() []Format { return []Format{Auto, JSON, NDJSON, Lines} }

// maxItem is the longest line, or event, that is sent: more than any that is taken.
const maxItem = 1 << 20

// item is an event, or a line of InfluxDB with its events.
type item struct {
	text []byte // Without a line's end; valid until the next one.
	line int    // Where it begins.
}

// guess returns the format of a file, from its name, else from what it begins with.
func guess(name string, begin []byte) Format {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		return JSON
	case ".ndjson", ".jsonl":
		return NDJSON
	case ".lp", ".line", ".influx":
		return Lines
	}
	begin = bytes.TrimLeft(begin, " \t\r\n")
	if len(begin) > 0 && (begin[0] == '{' || begin[0] == '[') {
		return JSON // Which NDJSON is as well, but for a line that is none.
	}
	return Lines
}

// scan calls each with the items of a text, in order, until it returns an error.
func scan(r io.Reader, f Format, each func(item) error) error {
	if f == JSON {
		return scanJSON(r, each)
	}
	lines := bufio.NewReaderSize(r, maxItem)
	for n := 1; ; n++ {
		text, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("line %d is longer than %d bytes", n, maxItem)
		}
		if n == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		text = bytes.TrimSpace(text)
		if comment := f == Lines && len(text) > 0 && text[0] == '#'; len(text) > 0 && !comment {
			if err := each(item{text, n}); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// scanJSON reads one JSON value after the other: events, arrays of events, objects with events.
func scanJSON(r io.Reader, each func(item) error) error {
	buffered := bufio.NewReader(r)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(3) // They are there.
	}
	at := &lineReader{r: buffered}
	d := jsontext.NewDecoder(at, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		err := scanValue(d, at, each)
		var syntax *jsontext.SyntacticError
		switch {
		case errors.Is(err, io.EOF) && d.StackDepth() == 0:
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
			return fmt.Errorf("line %d: the JSON ends before it is complete", at.line(at.read))
		case errors.As(err, &syntax):
			return fmt.Errorf("line %d: it is not JSON: %w", at.line(syntax.ByteOffset), syntax.Err)
		case err != nil:
			return err
		}
	}
}

// scanValue reads an event, an object with events, or the beginning or the end of an array.
func scanValue(d *jsontext.Decoder, at *lineReader, each func(item) error) error {
	if k := d.PeekKind(); k == '[' && d.StackDepth() == 0 || k == ']' {
		_, err := d.ReadToken()
		return err
	}
	text, err := d.ReadValue()
	if err != nil {
		return err
	}
	line := at.line(d.InputOffset() - int64(len(text)))
	if events := eventsOf(text); d.StackDepth() == 0 && events != nil {
		for _, e := range events {
			if err := each(item{oneLine(e.text), line + e.line}); err != nil {
				return err
			}
		}
		return nil
	}
	return each(item{oneLine(text), line})
}

// eventsOf returns the events of an object that has some, nil of another, each with the number of lines before it.
func eventsOf(object []byte) (events []item) {
	d := jsontext.NewDecoder(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) // It is valid.
	if k := d.PeekKind(); k != '{' {
		return nil
	}
	_, _ = d.ReadToken()
	for d.PeekKind() == '"' {
		name, _ := d.ReadToken()
		if name.String() != "events" || d.PeekKind() != '[' {
			_ = d.SkipValue()
			continue
		}
		_, _ = d.ReadToken()
		events = []item{}
		lines, counted := 0, 0
		for d.PeekKind() != ']' {
			text, _ := d.ReadValue()
			begin := int(d.InputOffset()) - len(text)
			lines += bytes.Count(object[counted:begin], []byte{'\n'})
			counted = begin
			events = append(events, item{bytes.Clone(text), lines})
		}
		_, _ = d.ReadToken()
	}
	return events
}

// oneLine is a JSON value in one line. Within strings there are no line ends.
func oneLine(value []byte) []byte {
	if !bytes.ContainsAny(value, "\r\n") {
		return value
	}
	return bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, value)
}

// lineReader knows in which line an offset is.
type lineReader struct {
	r      io.Reader
	read   int64
	ends   []int64 // Offsets of line ends that line has not passed.
	passed int
}

// Read implements io.Reader.
func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// line returns the line of an offset, which is not before that of the call before.
func (l *lineReader) line(offset int64) int {
	for len(l.ends) > 0 && l.ends[0] < offset {
		l.ends = l.ends[1:]
		l.passed++
	}
	return l.passed + 1
}
