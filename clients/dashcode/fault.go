package dashcode

import "fmt"

// Place is where something stands in a file. Line and Column count from 1;
// 0 = the file as a whole.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is the form that editors and CI systems make a link of.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Fault is what is wrong with a file, or in a warning what was changed in
// reading it. Pointer leads into the document that holds it.
type Fault struct {
	Place

	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// String is one line for people.
func (f Fault) String() string {
	if f.Pointer == "" {
		return f.Place.String() + ": " + f.Detail
	}
	return f.Place.String() + ": " + f.Pointer + ": " + f.Detail
}

// Codes of faults of files; those of documents are configsvc's.
const (
	codeSyntax    = "syntax"
	codeDuplicate = "duplicate"
	codeKey       = "key"
	codeNumber    = "number"
	codeAnchor    = "anchor"
	codeTag       = "tag"
	codeTooLarge  = "too_large"
	codeEmpty     = "empty"
)
