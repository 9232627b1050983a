package metric

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Op is the operator of a filter term, as it is written in a metric key.
type Op string

// The operators of protocol.md, "Metric key".
const (
	Equal     Op = "="
	NotEqual  Op = "!="
	In        Op = "in"
	NotIn     Op = "not in"
	Exists    Op = "exists"
	NotExists Op = "not exists"
	Prefix    Op = "^="
)

// Term is one condition on one tag. Values has one element for =, != and ^=,
// two or more, sorted, for in and not in, and none for exists.
type Term struct {
	Tag    string
	Op     Op
	Values []string
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
	slices.SortFunc(f, func(a, b Term) int {
		if c := strings.Compare(a.Tag, b.Tag); c != 0 {
			return c
		}
		return bytes.Compare(a.append(nil), b.append(nil))
	})
	f = slices.CompactFunc(f, func(a, b Term) bool { return bytes.Equal(a.append(nil), b.append(nil)) })
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
	switch o {
	case Equal, In:
		return "is"
	case NotEqual, NotIn:
		return "not"
	case Exists, NotExists:
		return "exists"
	case Prefix:
		return "prefix"
	}
	return string(o)
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
	want := 1
	switch t.Op {
	case In:
		if len(t.Values) == 1 {
			t.Op = Equal
		}
		want = max(1, len(t.Values))
	case NotIn:
		if len(t.Values) == 1 {
			t.Op = NotEqual
		}
		want = max(1, len(t.Values))
	case Exists, NotExists:
		want = 0
	case Equal, NotEqual, Prefix:
	default:
		return t, fmt.Errorf("tag %q has unknown operator %q", t.Tag, string(t.Op))
	}
	if len(t.Values) != want {
		return t, fmt.Errorf("tag %q: operator %q has %d values", t.Tag, string(t.Op), len(t.Values))
	}
	return t, nil
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

func (t Term) append(dst []byte) []byte {
	switch t.Op {
	case Exists, NotExists:
		dst = append(dst, t.Op...)
		dst = append(dst, ' ')
		return append(dst, t.Tag...)
	case In, NotIn:
		dst = append(dst, t.Tag...)
		dst = append(dst, ' ')
		dst = append(dst, t.Op...)
		dst = append(dst, " ("...)
		for i, v := range t.Values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, v)
		}
		return append(dst, ')')
	default:
		dst = append(dst, t.Tag...)
		dst = append(dst, t.Op...)
		return appendString(dst, t.Values[0])
	}
}

// MarshalJSON writes the form that documents use, {"region":"eu","env":{"not":"test"}}.
func (f Filter) MarshalJSON() ([]byte, error) {
	doc := make(map[string]any, len(f))
	for i := 0; i < len(f); {
		j := i + 1
		for j < len(f) && f[j].Tag == f[i].Tag {
			j++
		}
		doc[f[i].Tag] = termsDocument(f[i:j])
		i = j
	}
	return json.Marshal(doc)
}

func termsDocument(terms []Term) any {
	if len(terms) == 1 && terms[0].Op == Equal {
		return terms[0].Values[0]
	}
	if len(terms) == 1 && terms[0].Op == In {
		return terms[0].Values
	}
	m := make(map[string]any, len(terms))
	for _, t := range terms {
		switch t.Op {
		case Equal:
			m["is"] = t.Values[0]
		case In:
			m["is"] = t.Values
		case NotEqual:
			m["not"] = t.Values[0]
		case NotIn:
			m["not"] = t.Values
		case Exists:
			m["exists"] = true
		case NotExists:
			m["exists"] = false
		case Prefix:
			m["prefix"] = t.Values[0]
		}
	}
	return m
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
		return []Term{{tag, In, vs}}, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || len(m) == 0 {
		return nil, fmt.Errorf(`filter of tag %q must be a string, a list of strings, or an object with "not", "exists" or "prefix"`, tag)
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
	switch name {
	case "is":
		if isText {
			return Term{tag, In, vs}, nil
		}
	case "not":
		if isText {
			return Term{tag, NotIn, vs}, nil
		}
	case "prefix":
		if isText && len(vs) == 1 {
			return Term{tag, Prefix, vs}, nil
		}
	case "exists":
		switch string(bytes.TrimSpace(raw)) {
		case "true":
			return Term{Tag: tag, Op: Exists}, nil
		case "false":
			return Term{Tag: tag, Op: NotExists}, nil
		}
	default:
		return Term{}, fmt.Errorf(`filter of tag %q has unknown member %q: use "is", "not", "exists" or "prefix"`, tag, name)
	}
	return Term{}, fmt.Errorf("filter of tag %q: member %q has a value of the wrong type", tag, name)
}

func stringOrList(raw json.RawMessage) ([]string, bool) {
	switch raw := bytes.TrimSpace(raw); {
	case len(raw) > 0 && raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return []string{s}, err == nil
	case len(raw) > 0 && raw[0] == '[':
		var l []*string
		if json.Unmarshal(raw, &l) != nil || len(l) == 0 {
			return nil, false
		}
		out := make([]string, 0, len(l))
		for _, p := range l {
			if p == nil {
				return nil, false
			}
			out = append(out, *p)
		}
		return out, true
	}
	return nil, false
}
