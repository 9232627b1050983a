package metric

import (
	"strings"
	"unicode/utf8"
)

// About is what senders say of a metric, in the form that MakeAbout gives it.
type About struct {
	Unit string // Of its values, as widgets have it; "1" = they have none; "" = nobody says.
	Help string // What it is; "" = nobody says.
}

// Bounds of an About.
const (
	MaxUnit = 32  // Characters, as of the unit of a widget.
	MaxHelp = 256 // Bytes.
)

// unitNames has a line for each unit as widgets have it, and how UCUM (OpenTelemetry) and Prometheus call it.
const unitNames = `
s seconds second sec
ms milliseconds millisecond
µs us microseconds microsecond
ns nanoseconds nanosecond
min minutes minute
h hours hour
d days day
B By bytes byte
kB kBy kilobytes
MB MBy megabytes
GB GBy gigabytes
KiB KiBy kibibytes
MiB MiBy mebibytes
GiB GiBy gibibytes
TiB TiBy tebibytes
bit bits
% percent
1 ratio
°C Cel celsius
°F [degF] fahrenheit
V volts
A amperes
W watts
J joules
Hz hertz
m meters metres
g grams
Pa pascals
req request requests
`

// unitTable is unitNames by the names.
func unitTable() map[string]string {
	table := make(map[string]string)
	for line := range strings.Lines(unitNames) {
		if names := strings.Fields(line); len(names) > 0 {
			for _, name := range names[1:] {
				table[name] = names[0]
			}
		}
	}
	return table
}

var units = unitTable() //nolint:gochecknoglobals // It is a table.

// MakeAbout makes an About of what a sender says, texts of any length: a unit of UCUM or by its English name becomes the one that
// widgets have, an annotation in braces what stands in them, so that "By", "bytes" and "B" are one. Longer texts are cut. Of what it has
// made it makes the same.
func MakeAbout[T string | []byte](unit, help T) About {
	return About{Unit: makeUnit(clean(unit)), Help: cutHelp(clean(help))}
}

// clean returns a text without what nobody can read: invalid UTF-8, and control characters, for which a space stands.
func clean[T string | []byte](text T) string {
	const most = 4 * MaxHelp // Enough of it for both.
	s := strings.ToValidUTF8(string(text[:min(len(text), most)]), "")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

func makeUnit(text string) string {
	if utf8.RuneCountInString(text) > MaxUnit {
		text = string([]rune(text)[:MaxUnit])
	}
	parts := strings.Split(text, "/")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		for len(part) > 1 && part[0] == '{' && part[len(part)-1] == '}' {
			part = strings.TrimSpace(part[1 : len(part)-1])
		}
		if name, ok := units[part]; ok {
			part = name
		}
		parts[i] = part
	}
	return strings.Join(parts, "/")
}

// cutHelp cuts a text that is too long behind a character, and says so by an ellipsis.
func cutHelp(text string) string {
	const more = "…"
	if len(text) <= MaxHelp {
		return text
	}
	end := MaxHelp - len(more)
	for ; !utf8.RuneStart(text[end]); end-- {
	}
	return text[:end] + more
}

// UnitOf returns the unit of an aggregation of a metric whose values have a unit as MakeAbout has it: of a rate it is per second, of how many
// events there is none. "" = none, or nobody knows.
func (q Query) UnitOf(unit string) string {
	a := q.Aggregation
	if _, classic := q.OfBuckets(); !classic && unit != "" && strings.HasSuffix(q.Metric, bucketEnding) {
		unit = "1" // A bucket counts the values that have it.
	}
	switch {
	case unit == "" || a == "count" || a == "last_count":
		return ""
	case a == "rate" || a == "rate_avg":
		return perSecond(unit)
	case unit == "1":
		return ""
	}
	return unit
}

// perSecond returns the unit of how much something with a unit grows in a second.
func perSecond(unit string) string {
	switch {
	case unit == "s", strings.Contains(unit, "/"): // Seconds of a second, as of the time that a processor has worked, are a number.
		return ""
	}
	return unit + "/s"
}
