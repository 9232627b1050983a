package metric

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Op is the operator of a filter term, as it is written in a metric key.
type Op string

// The operators of docs/protocol.md, "Metric key".
const (
	Equal     Op = "="
	NotEqual  Op = "!="
	In        Op = "in"
	NotIn     Op = "not in"
	Exists    Op = "exists"
	NotExists Op = "not exists"
	Prefix    Op = "^="
	Regex     Op = "=~"
	NotRegex  Op = "!~"
)

// maxRegexSteps is how many instructions a regular expression may have, since each reads a value once: so many times the
// bytes of a value is what one comparison costs at most.
const maxRegexSteps = 1000

// Term is one condition on one tag. Values has one element for =, !=, ^=, =~
// and !~, two or more, sorted, for in and not in, and none for exists.
type Term struct {
	Tag    string
	Op     Op
	Values []string
	regex  *regexp.Regexp // Of =~ and !~, in the terms of a Filter.
}

// Match reports whether t holds for a series with these tags.
func (t Term) Match(tags Tags) bool {
	v := tags.Get(t.Tag)
	switch t.Op {
	case Equal, In:
		return slices.Contains(t.Values, v)
	case NotEqual, NotIn:
		return !slices.Contains(t.Values, v)
	case Exists:
		return v != ""
	case NotExists:
		return v == ""
	case Prefix:
		return v != "" && strings.HasPrefix(v, t.Values[0])
	case Regex:
		return t.regex.MatchString(v)
	case NotRegex:
		return !t.regex.MatchString(v)
	}
	return false
}

// Filter is a conjunction of terms in canonical order.
type Filter []Term

// NewFilter normalises terms, so that equal filters are equal values: values
// of in are sorted and unique, an in of one value is =, terms are sorted.
func NewFilter(terms ...Term) (Filter, error) {
	if len(terms) == 0 {
		return nil, nil
	}
	f := make(Filter, 0, len(terms))
	for _, t := range terms {
		t, err := t.normal()
		if err != nil {
			return nil, err
		}
		f = append(f, t)
	}
	slices.SortFunc(f, func(a, b Term) int { return cmp.Or(strings.Compare(a.Tag, b.Tag), strings.Compare(a.text(), b.text())) })
	f = slices.CompactFunc(f, func(a, b Term) bool { return a.text() == b.text() })
	return f, f.checkMembers()
}

// checkMembers refuses what documents cannot say: two terms of one tag that are the same member there.
func (f Filter) checkMembers() error {
	seen := make(map[[2]string]Op, len(f))
	for _, t := range f {
		at := [2]string{t.Tag, t.Op.member()}
		if other, twice := seen[at]; twice {
			return fmt.Errorf("tag %q has two conditions, %q and %q, where a document can have one: put them into one", t.Tag, string(other), string(t.Op))
		}
		seen[at] = t.Op
	}
	return nil
}

// member is what the operator is called in documents.
func (o Op) member() string {
	return map[Op]string{
		Equal: "is", In: "is", NotEqual: "not", NotIn: "not", Exists: "exists", NotExists: "exists", Prefix: "prefix",
		Regex: "regex", NotRegex: "not_regex",
	}[o]
}

func (t Term) normal() (Term, error) {
	if err := ValidateTagKey(t.Tag); err != nil {
		return t, err
	}
	t.Values = slices.Clone(t.Values)
	slices.Sort(t.Values)
	t.Values = slices.Compact(t.Values)
	for _, v := range t.Values {
		switch {
		case v == "":
			return t, fmt.Errorf("tag %q is compared with an empty value, which equals an absent tag: use {\"exists\":false}", t.Tag)
		case !utf8.ValidString(v) || len(v) > MaxTagValue:
			return t, fmt.Errorf("tag %q is compared with a value that is no tag value: at most %d bytes of UTF-8", t.Tag, MaxTagValue)
		}
	}
	n := len(t.Values)
	switch {
	case t.Op == In && n == 1:
		t.Op = Equal
	case t.Op == NotIn && n == 1:
		t.Op = NotEqual
	}
	var fits bool
	switch t.Op {
	case Equal, NotEqual, Prefix, Regex, NotRegex:
		fits = n == 1
	case In, NotIn:
		fits = n > 1
	case Exists, NotExists:
		fits = n == 0
	default:
		return t, fmt.Errorf("tag %q has unknown operator %q", t.Tag, string(t.Op))
	}
	if !fits {
		return t, fmt.Errorf("tag %q: operator %q has %d values", t.Tag, string(t.Op), n)
	}
	return t, t.compile()
}

// compile compiles a regular expression. As in Prometheus it must match the whole value, and a dot matches all characters.
func (t *Term) compile() error {
	if t.Op != Regex && t.Op != NotRegex {
		return nil
	}
	text := t.Values[0]
	parsed, err := syntax.Parse(text, syntax.Perl|syntax.DotNL)
	if err != nil {
		return fmt.Errorf("tag %q: the regular expression %.100q cannot be read: %w", t.Tag, text, err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxRegexSteps {
		return fmt.Errorf("tag %q: the regular expression %.100q is too long once repetitions are written out: at most %d steps", t.Tag, text, maxRegexSteps)
	}
	t.regex, err = regexp.Compile("^(?s:" + text + ")$")
	return err
}

// Match reports whether every term holds.
func (f Filter) Match(tags Tags) bool {
	for i := range f {
		if !f[i].Match(tags) {
			return false
		}
	}
	return true
}

// text is the term as it stands in a metric key.
func (t Term) text() string {
	switch t.Op {
	case Exists, NotExists:
		return string(t.Op) + " " + keyText(t.Tag)
	case In, NotIn:
		quoted := make([]string, len(t.Values))
		for i, v := range t.Values {
			quoted[i] = quote(v)
		}
		return keyText(t.Tag) + " " + string(t.Op) + " (" + strings.Join(quoted, ",") + ")"
	default:
		return keyText(t.Tag) + string(t.Op) + quote(t.Values[0])
	}
}

// document is the value of the term's member in documents.
func (t Term) document() any {
	switch {
	case len(t.Values) == 0:
		return t.Op == Exists
	case len(t.Values) == 1:
		return t.Values[0]
	}
	return t.Values
}

// MarshalJSON writes the form that documents use, {"region":"eu","env":{"not":"test"}}.
func (f Filter) MarshalJSON() ([]byte, error) {
	members := make(map[string]map[string]any, len(f)) // By tag.
	for _, t := range f {
		if members[t.Tag] == nil {
			members[t.Tag] = make(map[string]any, 1)
		}
		members[t.Tag][t.Op.member()] = t.document()
	}
	doc := make(map[string]any, len(f))
	for tag, m := range members {
		if is, has := m["is"]; has && len(m) == 1 {
			doc[tag] = is
		} else {
			doc[tag] = m
		}
	}
	return json.Marshal(doc)
}

var errFilterShape = errors.New(`filter must be an object such as {"region":"eu","host":["a","b"],"env":{"not":"test"},"zone":{"exists":true},"path":{"prefix":"/api"}}`)

// UnmarshalJSON reads the form that documents use; null is the empty filter.
func (f *Filter) UnmarshalJSON(b []byte) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(b, &doc); err != nil {
		return errFilterShape
	}
	var terms []Term
	for _, tag := range slices.Sorted(maps.Keys(doc)) { // The same error each time.
		ts, err := parseTerms(tag, doc[tag])
		if err != nil {
			return err
		}
		terms = append(terms, ts...)
	}
	n, err := NewFilter(terms...)
	if err != nil {
		return err
	}
	*f = n
	return nil
}

func parseTerms(tag string, raw json.RawMessage) ([]Term, error) {
	if vs, ok := stringOrList(raw); ok {
		return []Term{{Tag: tag, Op: In, Values: vs}}, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || len(m) == 0 {
		return nil, fmt.Errorf(`filter of tag %q must be a string, a list of strings, or an object with "not", "exists", "prefix" or "regex"`, tag)
	}
	terms := make([]Term, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		t, err := parseTerm(tag, name, m[name])
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	return terms, nil
}

func parseTerm(tag, name string, raw json.RawMessage) (Term, error) {
	vs, isText := stringOrList(raw)
	switch {
	case name == "is" && isText:
		return Term{Tag: tag, Op: In, Values: vs}, nil
	case name == "not" && isText:
		return Term{Tag: tag, Op: NotIn, Values: vs}, nil
	case name == "prefix" && isText && len(vs) == 1:
		return Term{Tag: tag, Op: Prefix, Values: vs}, nil
	case name == "regex" && isText && len(vs) == 1:
		return Term{Tag: tag, Op: Regex, Values: vs}, nil
	case name == "not_regex" && isText && len(vs) == 1:
		return Term{Tag: tag, Op: NotRegex, Values: vs}, nil
	case name == "exists" && string(raw) == "true":
		return Term{Tag: tag, Op: Exists}, nil
	case name == "exists" && string(raw) == "false":
		return Term{Tag: tag, Op: NotExists}, nil
	case !slices.Contains([]string{"is", "not", "prefix", "exists", "regex", "not_regex"}, name):
		return Term{}, fmt.Errorf(`filter of tag %q has unknown member %q: use "is", "not", "exists", "prefix", "regex" or "not_regex"`, tag, name)
	}
	return Term{}, fmt.Errorf("filter of tag %q: member %q has a value of the wrong type", tag, name)
}

func stringOrList(raw json.RawMessage) (values []string, ok bool) {
	if bytes.HasPrefix(raw, []byte{'"'}) {
		raw = slices.Concat([]byte{'['}, raw, []byte{']'})
	}
	var list []*string
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 || slices.Contains(list, nil) {
		return nil, false
	}
	for _, p := range list {
		values = append(values, *p)
	}
	return values, true
}
