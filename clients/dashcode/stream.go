package dashcode

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// readYAML returns the documents that are not empty, or why the file cannot be
// read whole: a document that was passed over would be one to delete.
func readYAML(file string, input []byte) (docs []*document, faults []Fault) {
	if !utf8.Valid(input) {
		return nil, []Fault{{Place: Place{File: file}, Code: codeSyntax, Detail: "not YAML: the file is not UTF-8"}}
	}
	parts, err := parts(input)
	for i := 0; i < len(parts) && err == nil; i++ {
		var body ast.Node
		if body, err = parts[i].parse(); err != nil || body == nil {
			continue
		}
		r := newYAMLReader(newDocument(file, len(docs)))
		v := r.value(body, "", 0)
		if len(r.doc.faults) == 0 {
			r.complain(parts[i])
		}
		if v == nil && len(r.doc.faults) == 0 {
			continue
		}
		r.doc.value = v
		docs = append(docs, r.doc)
	}
	if err == nil {
		return docs, nil
	}
	f := Fault{Place: Place{File: file}, Code: codeSyntax, Detail: "not YAML: " + err.Error()}
	if s, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		f.Detail, f.Place = "not YAML: "+s.GetMessage(), placeOf(file, s.GetToken())
	}
	return nil, []Fault{f}
}

// part is what a file holds from one --- to the next, without comments.
type part token.Tokens

// parts cuts a file into its documents. The parser would do that too, but ends
// without a word at two --- with nothing but comments between them.
func parts(input []byte) (all []part, err error) {
	tokens, err := guarded(func() (token.Tokens, error) { return lexer.Tokenize(string(input)), nil })
	if err != nil {
		return nil, err
	}
	if bad := tokens.InvalidToken(); bad != nil {
		return nil, &yaml.SyntaxError{Message: bad.Error, Token: bad}
	}
	var current part
	for i, t := range tokens {
		switch t.Type {
		case token.CommentType:
			continue
		case token.DocumentHeaderType:
			if !current.onlyDirectives() {
				all, current = append(all, current), nil
			}
		case token.DocumentEndType:
			if i+1 < len(tokens) && tokens[i+1].Type != token.CommentType && tokens[i+1].Position.Line == t.Position.Line {
				return nil, &yaml.SyntaxError{Message: "nothing may follow ... in its line: begin a new line", Token: tokens[i+1]}
			}
			all, current = append(all, current), nil
			continue
		}
		current = append(current, t)
	}
	return append(all, current), nil
}

// onlyDirectives reports whether nothing but lines such as %YAML 1.2 stand in p,
// which belong to the document after them.
func (p part) onlyDirectives() bool {
	line := 0
	for _, t := range p {
		if t.Type == token.DirectiveType {
			line = t.Position.Line
		}
		if t.Position.Line != line {
			return false
		}
	}
	return true
}

// parse returns the one node that a document is, nil for none.
func (p part) parse() (ast.Node, error) {
	empty := true
	for _, t := range p {
		empty = empty && t.Type == token.DocumentHeaderType
	}
	if empty {
		return nil, nil
	}
	f, err := guarded(func() (*ast.File, error) {
		return parser.Parse(token.Tokens(p), 0, parser.AllowDuplicateMapKey())
	})
	if err != nil {
		return nil, err
	}
	var bodies []ast.Node
	for _, d := range f.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType && d.Body.Type() != ast.DirectiveType {
			bodies = append(bodies, d.Body)
		}
	}
	switch {
	case len(bodies) > 1:
		return nil, &yaml.SyntaxError{Message: "a second document begins here: write --- before it", Token: start(bodies[1])}
	case len(bodies) == 0:
		return nil, nil
	}
	return bodies[0], nil
}

// guarded turns a panic of the parser into an error: a file must not end the program.
func guarded[T any](parse func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser could not make sense of it (%v)", p)
		}
	}()
	return parse()
}

// complain makes a fault of the first value of a document that no node holds:
// whatever the parser passes over, nothing is taken for read that was not.
func (r *yamlReader) complain(p part) {
	directive := 0
	for _, t := range p {
		if t.Type == token.DirectiveType {
			directive = t.Position.Line
		}
		if isValue(t.Type) && t.Position.Line != directive && !r.read[*t.Position] {
			r.doc.faults = append(r.doc.faults, Fault{Place: placeOf(r.doc.file, t), Code: codeSyntax, Detail: fmt.Sprintf("%.40q could not be read where it stands: write this part of the document in another way", t.Value)})
			return
		}
	}
}

func isValue(t token.Type) bool {
	switch t {
	case token.StringType, token.SingleQuoteType, token.DoubleQuoteType, token.BoolType, token.NullType, token.IntegerType, token.BinaryIntegerType,
		token.OctetIntegerType, token.HexIntegerType, token.FloatType, token.InfinityType, token.NanType, token.MergeKeyType, token.AliasType:
		return true
	}
	return false
}
