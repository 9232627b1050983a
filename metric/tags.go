package metric

import (
	"encoding/binary"
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
	t.sort()
	return t
}

func (t Tags) sort() {
	slices.SortFunc(t, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
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
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
}

// AppendKey appends the binary form of t: it is unique, so that it serves as
// a map key and as the wire form inside the pipeline.
func (t Tags) AppendKey(dst []byte) []byte {
	for i := range t {
		dst = binary.AppendUvarint(dst, uint64(len(t[i].Key)))
		dst = append(dst, t[i].Key...)
		dst = binary.AppendUvarint(dst, uint64(len(t[i].Value)))
		dst = append(dst, t[i].Value...)
	}
	return dst
}

var errTagsKey = errors.New("cannot read tags key: truncated")

// ParseTagsKey reads what AppendKey wrote.
func ParseTagsKey(key string) (Tags, error) {
	next := func() (string, bool) {
		n, w := uvarint(key)
		if w <= 0 || uint64(len(key)-w) < n {
			return "", false
		}
		s := key[w : w+int(n)]
		key = key[w+int(n):]
		return s, true
	}
	var t Tags
	for key != "" {
		k, ok := next()
		if !ok {
			return nil, errTagsKey
		}
		v, ok := next()
		if !ok {
			return nil, errTagsKey
		}
		t = append(t, Tag{k, v})
	}
	return t, nil
}

func uvarint(s string) (v uint64, width int) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		v |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
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

func unquote(s string) (string, error) {
	b, err := jsontext.AppendUnquote(nil, s)
	return string(b), err
}
