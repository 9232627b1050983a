package grafana

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// object is a JSON object whose members may have any type: over its versions
// Grafana has written the same member as text, number and object.
type object map[string]any

func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

// word is a text or a number as text.
func (o object) word(name string) string {
	if x, ok := o[name].(float64); ok {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return o.text(name)
}

// number also reads numbers that are written as texts; others, and what no
// JSON holds, are absent.
func (o object) number(name string) (float64, bool) {
	x, ok := o[name].(float64)
	if s, isText := o[name].(string); isText {
		var err error
		x, err = strconv.ParseFloat(strings.TrimSpace(s), 64)
		ok = err == nil
	}
	return x, ok && !math.IsNaN(x) && !math.IsInf(x, 0)
}

// whole is a number within bounds.
func (o object) whole(name string, lowest, highest, otherwise int) int {
	x, ok := o.number(name)
	if !ok {
		return otherwise
	}
	return int(math.Min(math.Max(math.Round(x), float64(lowest)), float64(highest)))
}

func (o object) yes(name string) bool {
	b, _ := o[name].(bool)
	return b
}

func (o object) object(name string) object {
	m, _ := o[name].(map[string]any)
	return m
}

func (o object) list(name string) []any {
	l, _ := o[name].([]any)
	return l
}

// objects are the elements of a list that are objects.
func (o object) objects(name string) []object {
	var out []object
	for _, e := range o.list(name) {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// clean makes a text one line of at most limit characters.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > limit {
		s = strings.TrimSpace(string(r[:limit-1])) + "…"
	}
	return s
}
