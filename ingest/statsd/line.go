package statsd

import (
	"bytes"
	"fmt"
	"math"

	"pulseboard/metric"
)

// The codes of faults that no other format has; the others are in package metric.
const (
	CodeNotAMetric = "not_a_metric" // An event or a service check of DogStatsD.
	CodeHeldFull   = "held_full"    // Signed gauges and sets hold as much as they may.
)

// Fault says why a line, or a part of it, is not taken. Its detail is put together
// only where somebody reads it, since broken lines may come as fast as any.
type Fault struct {
	Code string
	text string
	part []byte // Of the line, nil = the text says it all.
}

// Detail is the text of it.
func (f Fault) Detail() string {
	if f.part == nil {
		return f.text
	}
	return fmt.Sprintf("%s: %.80q", f.text, f.part)
}

func malformed(text string, part []byte) Fault {
	return Fault{metric.CodeMalformed, text, part}
}

// kind is the type of a line.
type kind uint8

const (
	counter kind = iota + 1
	gauge
	timer // Also histograms and distributions: values by themselves.
	set
)

func kindOf(text []byte) kind {
	switch string(text) {
	case "c":
		return counter
	case "g":
		return gauge
	case "ms", "h", "d":
		return timer
	case "s":
		return set
	}
	return 0
}

// line is the parts of one: name[tags]:value[:value…]|type[|@rate][|#tags][|Ttime][|…].
type line struct {
	head   []byte // The name, with tags in the form of Graphite or Influx behind it.
	values []byte
	tags   []byte // In the form of DogStatsD.
	rate   float64
	time   int64 // Epoch ms, 0 = none is said.
	kind   kind
}

// parse reads the parts of a line. A fault has a code.
func parse(text []byte) (l line, f Fault) {
	if text[0] == '_' && (bytes.HasPrefix(text, []byte("_e{")) || bytes.HasPrefix(text, []byte("_sc|"))) {
		return l, Fault{CodeNotAMetric, "events and service checks of DogStatsD are not metrics, and are not taken", nil}
	}
	colon := bytes.IndexByte(text, ':')
	if colon < 0 {
		return l, malformed("a line must be name:value|type, and there is no colon", text)
	}
	l.head, l.rate = text[:colon], 1
	rest := text[colon+1:]
	bar := bytes.IndexByte(rest, '|')
	if bar < 0 {
		return l, malformed("a line must be name:value|type, and there is no |", text)
	}
	l.values, rest = rest[:bar], rest[bar+1:]
	name, rest, more := bytes.Cut(rest, []byte{'|'})
	if l.kind = kindOf(name); l.kind == 0 {
		return l, malformed("the type must be c, g, ms, h, d or s", name)
	}
	for more {
		var part []byte
		part, rest, more = bytes.Cut(rest, []byte{'|'})
		if f = l.section(part); f.Code != "" {
			return l, f
		}
	}
	return l, f
}

// section reads what stands behind the type.
func (l *line) section(part []byte) (f Fault) {
	switch {
	case len(part) == 0:
		return malformed("there is nothing between two |, or behind the last one", nil)
	case part[0] == '#':
		l.tags = part[1:]
	case part[0] == '@':
		rate, ok := number(part[1:])
		if !ok || !(rate > 0 && rate <= 1) {
			return malformed("the sample rate must be above 0 and at most 1", part)
		}
		l.rate = rate
	case part[0] == 'T':
		seconds, ok := number(part[1:])
		if !ok || seconds != math.Trunc(seconds) || math.Abs(seconds) > metric.LatestTime {
			return malformed("the time must be whole seconds since 1970", part)
		}
		l.time = int64(seconds) * 1000
		if wrong := metric.TimeFault(l.time); wrong != nil {
			return Fault{wrong.Code, wrong.Detail, nil}
		}
	case !isField(part):
		return malformed("what stands behind the type must be a sample rate @…, tags #… or a time T…", part)
	}
	return f
}

// isField reports whether a part is a field such as c:ci-83745, the client's container. DogStatsD
// has some, adds others, and has those that know them not pass them over.
func isField(part []byte) bool {
	name, _, ok := bytes.Cut(part, []byte{':'})
	for _, c := range name {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return ok && len(name) > 0
}
