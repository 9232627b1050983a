package configsvc

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// object reads a JSON object member by member, and adds a fault with a pointer for
// each that is wrong. asked holds the members that were read: the others are unknown
// fields. A null member counts as absent.
type object struct {
	members map[string]any
	at      string
	faults  *faults
	asked   map[string]bool
}

// asObject returns false, and adds a fault, when v is no object.
func asObject(v any, at string, f *faults) (object, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		f.add(at, codeType, "must be an object, but is %s", kind(v))
	}
	return object{members: m, at: at, faults: f, asked: make(map[string]bool)}, ok
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	}
	return "an object"
}

func (o object) pointer(name string) string { return under(o.at, name) }

func (o object) value(name string) (any, bool) {
	o.asked[name] = true
	v, ok := o.members[name]
	return v, ok && v != nil
}

// ignore passes over members that the service sets by itself.
func (o object) ignore(names ...string) {
	for _, name := range names {
		o.asked[name] = true
	}
}

// warnUnknown adds a warning, or where strict a fault, for each member that was not read.
func (o object) warnUnknown() {
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		switch {
		case o.asked[name]:
		case o.faults.strict:
			o.faults.add(o.pointer(name), codeUnknown, "unknown field %q: correct its name or remove it", name)
		default:
			o.faults.warn(o.pointer(name), "unknown field %q was left out", name)
		}
	}
}

func (o object) wrongType(name, want string, v any) {
	o.faults.add(o.pointer(name), codeType, "%s must be %s, but is %s", name, want, kind(v))
}

// require adds a fault when a member is absent.
func (o object) require(name, format string, args ...any) {
	if _, ok := o.value(name); !ok {
		o.faults.add(o.pointer(name), codeRequired, format, args...)
	}
}

// valid adds what a check of a member has found, nil = nothing.
func (o object) valid(name string, err error) {
	if err != nil {
		o.faults.add(o.pointer(name), codeInvalid, "%v", err)
	}
}

func (o object) stringMember(name string) (string, bool) {
	v, ok := o.value(name)
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	if !ok {
		o.wrongType(name, "a string", v)
	}
	return s, ok
}

// text is a string for people: at most limit characters, none of them control characters.
func (o object) text(name string, limit int, otherwise string) string {
	s, ok := o.stringMember(name)
	if !ok {
		return otherwise
	}
	checkText(o.faults, o.pointer(name), name, s, limit)
	return s
}

func checkText(f *faults, at, name, s string, limit int) {
	if n := utf8.RuneCountInString(s); n > limit {
		f.add(at, codeRange, "%s has %d characters: at most %d", name, n, limit)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		f.add(at, codeInvalid, "%s must not hold control characters such as line ends", name)
	}
}

func (o object) oneOf(name string, choices []string, otherwise string) string {
	s, ok := o.stringMember(name)
	if !ok {
		return otherwise
	}
	if !slices.Contains(choices, s) {
		o.faults.add(o.pointer(name), codeInvalid, "%s is %.50q: use one of %s", name, s, strings.Join(choices, ", "))
	}
	return s
}

func (o object) number(name string) (float64, bool) {
	v, ok := o.value(name)
	if !ok {
		return 0, false
	}
	n, ok := v.(json.Number)
	if !ok {
		o.wrongType(name, "a number", v)
		return 0, false
	}
	x, err := n.Float64()
	if err != nil || math.IsInf(x, 0) {
		o.faults.add(o.pointer(name), codeRange, "%s is %.40s, beyond what a 64-bit floating point number holds", name, n)
		return 0, false
	}
	return x, true
}

// whole is a whole number from lowest to highest; ok is false when it is
// absent or was found wrong.
func (o object) whole(name string, lowest, highest int) (n int, ok bool) {
	x, ok := o.number(name)
	switch {
	case !ok:
		return 0, false
	case x != math.Trunc(x):
		o.faults.add(o.pointer(name), codeInvalid, "%s is %v: it must be a whole number", name, x)
		return 0, false
	case x < float64(lowest) || x > float64(highest):
		o.faults.add(o.pointer(name), codeRange, "%s is %.0f: it must be %d to %d", name, x, lowest, highest)
		return 0, false
	}
	return int(x), true
}

func (o object) wholeOr(name string, lowest, highest, otherwise int) int {
	if n, ok := o.whole(name, lowest, highest); ok {
		return n
	}
	return otherwise
}

// list is an array of at most limit elements.
func (o object) list(name string, limit int) []any {
	v, ok := o.value(name)
	if !ok {
		return nil
	}
	l, ok := v.([]any)
	switch {
	case !ok:
		o.wrongType(name, "an array", v)
	case len(l) > limit:
		o.faults.add(o.pointer(name), codeTooMany, "%s has %d elements: at most %d", name, len(l), limit)
		return nil
	}
	return l
}

// stringList is an array of strings, without those that check finds wrong.
func (o object) stringList(name string, limit int, check func(at, s string)) []string {
	out := []string{}
	for i, v := range o.list(name, limit) {
		at := underIndex(o.pointer(name), i)
		s, ok := v.(string)
		if !ok {
			o.faults.add(at, codeType, "must be a string, but is %s", kind(v))
			continue
		}
		check(at, s)
		if slices.Contains(out, s) {
			o.faults.add(at, codeDuplicate, "%.100q is in %s twice", s, name)
		}
		out = append(out, s)
	}
	return out
}

// object is a member that is an object itself; when it is absent, an empty one.
func (o object) object(name string) object {
	if v, ok := o.value(name); ok {
		inner, _ := asObject(v, o.pointer(name), o.faults)
		return inner
	}
	return object{at: o.pointer(name), faults: o.faults, asked: make(map[string]bool)}
}
