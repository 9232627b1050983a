package dashcode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonReader reads a JSON file, which is one document, and remembers where
// everything stands.
type jsonReader struct {
	input []byte
	dec   *jsontext.Decoder
	doc   *document

	// Of the last place that was asked for; places are asked for in order.
	offset, line, lineStart int
}

// readJSON returns nil when the syntax is wrong.
func readJSON(file string, input []byte) (*document, []Fault) {
	r := &jsonReader{
		input: input, doc: newDocument(file, 0), line: 1,
		dec: jsontext.NewDecoder(bytes.NewReader(input), jsontext.AllowDuplicateNames(true)),
	}
	v, err := r.value("", 0)
	if err == nil {
		if _, err = r.dec.ReadToken(); errors.Is(err, io.EOF) {
			r.doc.value = v
			return r.doc, nil
		}
		if err == nil {
			err = errors.New("there is more after the end of the document; a JSON file holds one dashboard")
		}
	}
	return nil, append(r.doc.faults, r.syntax(err))
}

func (r *jsonReader) syntax(err error) Fault {
	at := Place{File: r.doc.file}
	var s *jsontext.SyntacticError
	switch {
	case errors.As(err, &s):
		at, err = r.placeOf(int(s.ByteOffset)), s.Err
	case errors.Is(err, io.EOF):
		err = errors.New("the file is empty")
	default:
		at = r.placeOf(int(r.dec.InputOffset()))
	}
	return Fault{Place: at, Code: codeSyntax, Detail: "not JSON: " + err.Error()}
}

// next is the place of the token that is read next.
func (r *jsonReader) next() Place {
	i := int(r.dec.InputOffset())
	for i < len(r.input) && bytes.IndexByte([]byte(" \t\r\n,:"), r.input[i]) >= 0 {
		i++
	}
	return r.placeOf(i)
}

func (r *jsonReader) placeOf(offset int) Place {
	offset = min(offset, len(r.input))
	if offset < r.offset {
		r.offset, r.line, r.lineStart = 0, 1, 0
	}
	for ; r.offset < offset; r.offset++ {
		if r.input[r.offset] == '\n' {
			r.line, r.lineStart = r.line+1, r.offset+1
		}
	}
	return Place{File: r.doc.file, Line: r.line, Column: offset - r.lineStart + 1}
}

func (r *jsonReader) value(at string, depth int) (any, error) {
	place := r.next()
	r.doc.values[at] = place
	if r.doc.count++; r.doc.count > maxValues || depth > maxDepth {
		return nil, fmt.Errorf("more than %d values, or nested deeper than %d: no dashboard", maxValues, maxDepth)
	}
	t, err := r.dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case '"':
		return t.String(), nil
	case '0':
		r.doc.bare[at] = t.String()
		return json.Number(t.String()), nil
	case 't', 'f':
		r.doc.bare[at] = t.String()
		return t.Bool(), nil
	case 'n':
		return nil, nil
	case '{':
		return r.object(at, depth)
	}
	list := []any{}
	for r.dec.PeekKind() != ']' {
		v, err := r.value(underIndex(at, len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err = r.dec.ReadToken()
	return list, err
}

func (r *jsonReader) object(at string, depth int) (any, error) {
	members, written := make(map[string]any), make(map[string]Place)
	for r.dec.PeekKind() != '}' {
		place := r.next()
		t, err := r.dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := t.String()
		inner := under(at, name)
		if first, twice := written[name]; twice {
			r.doc.faults = append(r.doc.faults, duplicate(place, inner, name, first))
		}
		written[name], r.doc.names[inner] = place, place
		if members[name], err = r.value(inner, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := r.dec.ReadToken()
	return members, err
}

func duplicate(at Place, pointer, name string, first Place) Fault {
	return Fault{Place: at, Pointer: pointer, Code: codeDuplicate, Detail: fmt.Sprintf("%q is there twice, first in line %d: remove one", name, first.Line)}
}
