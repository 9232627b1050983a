package dashcode

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of what a file may unfold to: an alias of an alias of an alias would
// fill any memory.
const (
	maxFile   = 16 << 20 // Bytes.
	maxValues = 100_000
	maxDepth  = 200
)

// document is one dashboard as a file holds it.
type document struct {
	file  string
	index int // Among the documents of its file.
	value any // As encoding/json decodes it, with json.Number.

	values map[string]Place  // Where the value of each pointer stands.
	names  map[string]Place  // Where the name of each member stands.
	bare   map[string]string // Text of the values that are no strings, for hints.
	faults []Fault           // What could not be read of it.
	count  int
}

func newDocument(file string, index int) *document {
	return &document{file: file, index: index, values: make(map[string]Place), names: make(map[string]Place), bare: make(map[string]string)}
}

// place returns where the value at a pointer stands, or what holds it if it is absent.
func (d *document) place(pointer string) Place {
	for {
		if p, ok := d.values[pointer]; ok {
			return p
		}
		i := strings.LastIndexByte(pointer, '/')
		if i < 0 {
			return Place{File: d.file}
		}
		pointer = pointer[:i]
	}
}

// fault places a fault of the rules in the file, at the name of a member when
// that is what is wrong, and says how to write what YAML takes for another type.
func (d *document) fault(pointer, code, detail string) Fault {
	f := Fault{Place: d.place(pointer), Pointer: pointer, Code: code, Detail: detail}
	if at, ok := d.names[pointer]; ok && code == "unknown_field" {
		f.Place = at
	}
	if code != "wrong_type" {
		return f
	}
	switch text, bare := d.bare[pointer]; {
	case bare && text != "" && strings.Contains(detail, "must be a string, but is "):
		f.Detail += fmt.Sprintf("; write it in quotes: %q", text)
	case strings.Contains(detail, "must be a number, but is a string"):
		f.Detail += "; leave out the quotes"
	}
	return f
}

// under appends a member's name to a JSON pointer (RFC 6901).
func under(pointer, name string) string {
	return pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func underIndex(pointer string, i int) string { return fmt.Sprintf("%s/%d", pointer, i) }

// broken reports whether the value at a pointer could not be read, so that what
// the rules say of its absence is not the reader's concern.
func (d *document) broken(pointer string) bool {
	return slices.ContainsFunc(d.faults, func(f Fault) bool { return f.Pointer == pointer && f.Code != codeDuplicate && f.Code != codeKey })
}

// sortFaults orders faults as a reader of the files meets them.
func sortFaults(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
}
