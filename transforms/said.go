package transforms

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// said is what senders say of metrics in a slice of pipeline time: of each metric the first few that differ.
type said map[string][]metric.About

// mostSaid is how many there are of a metric in a slice. The catalog shows as many.
const mostSaid = 4

// add adds what is said of a metric to s, which may be nil, and returns it.
func (s said) add(name string, about metric.About) said {
	if about == (metric.About{}) || len(s[name]) == mostSaid || slices.Contains(s[name], about) {
		return s
	}
	if s == nil {
		s = make(said)
	}
	s[name] = append(s[name], about)
	return s
}

// merge adds what o has.
func (s said) merge(o said) said {
	for name, abouts := range o {
		for _, a := range abouts {
			s = s.add(name, a)
		}
	}
	return s
}

// bytes is about what it takes in memory.
func (s said) bytes() (n int64) {
	const each = 100
	for name, abouts := range s {
		n += each + int64(len(name))
		for _, a := range abouts {
			n += each + int64(len(a.Unit)+len(a.Help))
		}
	}
	return n
}

// encode appends all of it, by the names, and an empty name.
func (s said) encode(dst []byte) []byte {
	text := func(s string) { dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...) }
	for _, name := range slices.Sorted(maps.Keys(s)) {
		for _, a := range s[name] {
			text(name)
			text(a.Unit)
			text(a.Help)
		}
	}
	text("")
	return dst
}

var errSaid = errors.New("what is said of metrics is cut off")

// decodeSaid reads what encode wrote.
func decodeSaid(r *aggregate.Reader) (s said, err error) {
	for name := r.Text(); name != ""; name = r.Text() {
		s = s.add(name, metric.About{Unit: r.Text(), Help: r.Text()})
	}
	if r.Bad {
		return nil, errSaid
	}
	return s, nil
}
