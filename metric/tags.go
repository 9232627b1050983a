package metric

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Tag is one dimension of a series, such as host=a.
type Tag struct{ Key, Value string }

// Tags are sorted by key, keys are unique and no value is empty: an empty
// value is the same as an absent tag.
type Tags []Tag

// NewTags returns the canonical form of m.
func NewTags(m map[string]string) Tags {
	if len(m) == 0 {
		return nil
	}
	t := make(Tags, 0, len(m))
	for k, v := range m {
		if v != "" {
			t = append(t, Tag{k, v})
		}
	}
	slices.SortFunc(t, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return t
}

// Get returns the value of the tag, "" when it is absent.
func (t Tags) Get(key string) string {
	for i := range t {
		if t[i].Key == key {
			return t[i].Value
		}
	}
	return ""
}

// Pick returns the tags named by keys. A tag that is missing is left out,
// which equals the value "".
func (t Tags) Pick(keys []string) Tags {
	var p Tags
	for i := range t {
		if slices.Contains(keys, t[i].Key) {
			p = append(p, t[i])
		}
	}
	return p
}

// Compare orders tags by their canonical text: key, value, key, value, ….
func (t Tags) Compare(o Tags) int {
	return slices.CompareFunc(t, o, func(a, b Tag) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
	})
}

// AppendKey appends the binary form of t, which serves as a map key and as the
// wire form inside the pipeline. Different tags have different keys, and keys
// are in the order of Compare.
func (t Tags) AppendKey(dst []byte) []byte {
	for i := range t {
		dst = append(dst, t[i].Key...) // It holds no zero byte, see ValidateTagKey.
		dst = append(dst, 0)
		v := t[i].Value
		for n := strings.IndexByte(v, 0); n >= 0; n = strings.IndexByte(v, 0) {
			dst = append(append(dst, v[:n]...), 0, 0xff)
			v = v[n+1:]
		}
		dst = append(append(dst, v...), 0, 1)
	}
	return dst
}

var errTagsKey = errors.New("cannot read the key of tags: it ends too early")

// ParseTagsKey reads what AppendKey wrote.
func ParseTagsKey(key string) (Tags, error) {
	var t Tags
	for key != "" {
		name, rest, ok := strings.Cut(key, "\x00")
		if !ok {
			return nil, errTagsKey
		}
		value, rest, ok := cutValue(rest)
		if !ok {
			return nil, errTagsKey
		}
		t = append(t, Tag{name, value})
		key = rest
	}
	return t, nil
}

func cutValue(s string) (value, rest string, ok bool) {
	for {
		n := strings.IndexByte(s, 0)
		if n < 0 || n+1 == len(s) {
			return "", "", false
		}
		if s[n+1] == 1 {
			return value + s[:n], s[n+2:], true
		}
		value, s = value+s[:n+1], s[n+2:]
	}
}

// AppendJSON appends t as a JSON object with sorted keys.
func (t Tags) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range t {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, t[i].Key)
		dst = append(dst, ':')
		dst = appendString(dst, t[i].Value)
	}
	return append(dst, '}')
}

// MarshalJSON writes a JSON object with sorted keys.
func (t Tags) MarshalJSON() ([]byte, error) { return t.AppendJSON(nil), nil }

// UnmarshalJSON reads a JSON object of strings; empty values are left out.
func (t *Tags) UnmarshalJSON(b []byte) error {
	var m map[string]string
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*t = NewTags(m)
	return nil
}

// String is the JSON form.
func (t Tags) String() string { return string(t.AppendJSON(nil)) }

// appendString appends s as a JSON string. Tags and names are valid UTF-8 by
// the time they get here; if not, the bytes are replaced by U+FFFD.
func appendString(dst []byte, s string) []byte {
	// AppendQuote fails on invalid UTF-8 only, and appends the replaced form then.
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// quote returns s as a JSON string.
func quote(s string) string { return string(appendString(nil, s)) }
