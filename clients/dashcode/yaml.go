package dashcode

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// yamlReader turns the nodes of one YAML document into the values that JSON
// has. It reads YAML 1.2: yes, no, on and off are strings. What JSON cannot
// say, such as numbers like 0x1F or keys that are no strings, is a fault.
type yamlReader struct {
	doc     *document
	anchors map[string]ast.Node // Those before the place that is read, by name.
	// What each alias was found to mean when it was read in its place: the name may
	// have another anchor by the time that a node which holds it is read again.
	aliases  map[*ast.AliasNode]ast.Node
	open     map[ast.Node]bool       // Nodes with an anchor that are being read.
	unfolded int                     // How many aliases the node that is read stands under.
	read     map[token.Position]bool // Where the values stand that were read.
	tooMuch  bool
}

func newYAMLReader(d *document) *yamlReader {
	return &yamlReader{
		doc: d, anchors: make(map[string]ast.Node), aliases: make(map[*ast.AliasNode]ast.Node),
		open: make(map[ast.Node]bool), read: make(map[token.Position]bool),
	}
}

func placeOf(file string, t *token.Token) Place {
	if t == nil || t.Position == nil {
		return Place{File: file}
	}
	return Place{File: file, Line: t.Position.Line, Column: t.Position.Column}
}

// start is the token where a node begins; that of a mapping is its first key,
// where nodes themselves name the colon.
func start(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return start(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return start(n.Key)
	}
	return n.GetToken()
}

func (r *yamlReader) fail(n ast.Node, at, code, format string, args ...any) {
	r.doc.faults = append(r.doc.faults, Fault{Place: placeOf(r.doc.file, start(n)), Pointer: at, Code: code, Detail: fmt.Sprintf(format, args...)})
}

func (r *yamlReader) value(n ast.Node, at string, depth int) any {
	if r.doc.count++; r.doc.count > maxValues || depth > maxDepth {
		if !r.tooMuch {
			r.fail(n, at, codeTooLarge, "more than %d values, or nested deeper than %d: no dashboard", maxValues, maxDepth)
		}
		r.tooMuch = true
		return nil
	}
	if n == nil {
		return nil
	}
	r.doc.values[at] = placeOf(r.doc.file, start(n))
	r.note(n)
	switch n := n.(type) {
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for i, v := range n.Values {
			list = append(list, r.value(v, underIndex(at, i), depth+1))
			if r.tooMuch {
				break
			}
		}
		return list
	case *ast.MappingNode:
		return r.mapping(n.Values, at, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, at, depth)
	case *ast.AnchorNode:
		return r.anchor(n, at, depth)
	case *ast.AliasNode:
		return r.alias(n, at, depth)
	case *ast.TagNode:
		return r.tagged(n, at, depth)
	}
	return r.scalar(n, at)
}

// scalar reads a node without nodes below it.
func (r *yamlReader) scalar(n ast.Node, at string) any {
	switch n := n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.StringNode:
		// The parser takes 1e3 for a text, which it is not in YAML 1.2.
		if n.Token.Type == token.StringType && jsonNumber.MatchString(n.Value) {
			return r.number(n, n.Value, at)
		}
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.BoolNode:
		r.doc.bare[at] = n.Token.Value
		return n.Value
	case *ast.IntegerNode, *ast.FloatNode:
		return r.number(n, n.GetToken().Value, at)
	case *ast.InfinityNode, *ast.NanNode:
		r.fail(n, at, codeNumber, "%s is no number that JSON has: give a finite one, or leave the field out", n.GetToken().Value)
	default:
		r.fail(n, at, codeSyntax, "a %s is nothing that a dashboard can hold", strings.ToLower(n.Type().String()))
	}
	return nil
}

// note remembers that the value which a node is, was read.
func (r *yamlReader) note(n ast.Node) {
	if l, ok := n.(*ast.LiteralNode); ok {
		n = l.Value
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		r.read[*t.Position] = true
	}
}

func (r *yamlReader) anchor(n *ast.AnchorNode, at string, depth int) any {
	name := nameOf(n.Name)
	r.note(n.Name)
	if r.unfolded > 0 { // Its place is elsewhere.
		return r.value(n.Value, at, depth)
	}
	// From here on the name means this node, but it cannot hold itself.
	r.anchors[name] = n.Value
	r.open[n.Value] = true
	v := r.value(n.Value, at, depth)
	delete(r.open, n.Value)
	return v
}

func (r *yamlReader) alias(n *ast.AliasNode, at string, depth int) any {
	name := nameOf(n.Value)
	r.note(n.Value)
	target, ok := r.aliases[n]
	if !ok {
		if target, ok = r.anchors[name]; !ok || r.open[target] {
			r.fail(n, at, codeAnchor, "there is no anchor &%s before this place", name)
			return nil
		}
		r.aliases[n] = target
	}
	r.unfolded++
	v := r.value(target, at, depth+1)
	r.unfolded--
	r.doc.values[at] = placeOf(r.doc.file, start(n))
	return v
}

func nameOf(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// number keeps the text. YAML's other forms are refused rather than guessed:
// 010 is 8 to some readers and 10 to others.
func (r *yamlReader) number(n ast.Node, text, at string) any {
	r.doc.bare[at] = text
	if !jsonNumber.MatchString(text) {
		r.fail(n, at, codeNumber, "number %.40s is not in the form of JSON: write it in decimal digits, or in quotes if it is a text", text)
		return nil
	}
	return json.Number(text)
}

func (r *yamlReader) tagged(n *ast.TagNode, at string, depth int) any {
	if a, ok := n.Value.(*ast.AnchorNode); ok {
		r.fail(n, at, codeTag, "write the anchor before the tag: &%s %s", nameOf(a.Name), n.Start.Value)
		return nil
	}
	switch tag := n.Start.Value; tag {
	case "!!str":
		if s, ok := n.Value.(ast.ScalarNode); ok {
			r.doc.values[at] = placeOf(r.doc.file, start(n))
			r.note(s)
			if l, ok := s.(*ast.LiteralNode); ok {
				return l.Value.Value
			}
			return s.GetToken().Value
		}
	case "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map":
		return r.value(n.Value, at, depth+1)
	default:
		r.fail(n, at, codeTag, "tag %.40s means nothing in a dashboard: remove it", tag)
		return nil
	}
	r.fail(n, at, codeTag, "only a single value can be a string: remove the tag !!str")
	return nil
}

// mapping reads members; those that a merge key brings along yield to written ones.
func (r *yamlReader) mapping(values []*ast.MappingValueNode, at string, depth int) any {
	members := make(map[string]any, len(values))
	written := make(map[string]Place, len(values))
	var merged []map[string]any
	for _, v := range values {
		if r.tooMuch {
			break
		}
		if v.Key.IsMergeKey() {
			r.note(v.Key)
			merged = append(merged, r.merge(v.Value, at, depth)...)
			continue
		}
		name, ok := r.key(v, at)
		if !ok {
			continue
		}
		place, inner := placeOf(r.doc.file, start(v.Key)), under(at, name)
		if first, twice := written[name]; twice {
			r.doc.faults = append(r.doc.faults, duplicate(place, inner, name, first))
		}
		written[name], r.doc.names[inner] = place, place
		members[name] = r.value(v.Value, inner, depth+1)
	}
	for _, m := range merged {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if _, there := members[name]; !there {
				members[name] = m[name]
			}
		}
	}
	return members
}

func (r *yamlReader) key(v *ast.MappingValueNode, at string) (string, bool) {
	var n ast.Node = v.Key
	if k, ok := n.(*ast.MappingKeyNode); ok && k.Value != nil {
		n = k.Value
	}
	r.note(n)
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		r.fail(n, at, codeKey, "the name of a member must be a string: write it in quotes: %q", n.GetToken().Value)
	default:
		r.fail(n, at, codeKey, "the name of a member must be a plain string")
	}
	return "", false
}

// merge returns the mappings that a merge key names. Their places are noted
// first, so that what is written beside the key replaces them.
func (r *yamlReader) merge(n ast.Node, at string, depth int) []map[string]any {
	place, had := r.doc.values[at]
	v := r.value(n, at, depth+1)
	if had {
		r.doc.values[at] = place
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []map[string]any
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			r.fail(n, at, codeAnchor, "<< takes a mapping, an alias of one, or a list of those")
			return nil
		}
		out = append(out, m)
	}
	return out
}
