package catalog

import (
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	"pulseboard/aggregate"
)

// MaxSaid is how many units, and how many texts of help, are shown of a metric.
const MaxSaid = 4

// said is what senders say of a metric. Where they disagree there are several texts.
type said struct{ units, help []saying }

// saying is a text, and the slice of pipeline time in which it was said last.
type saying struct {
	text string
	at   int64
}

// saidOverMs is how long after it was said last a text is shown, of which others are said since: who has changed a unit has changed it.
const saidOverMs = 10 * 60_000

// add adds a text to texts, which are rising; over is the last slice whose texts are over. Of too many, those said longest ago leave.
func add(texts []saying, text string, at, over int64) []saying {
	if text == "" {
		return texts
	}
	texts = slices.DeleteFunc(texts, func(s saying) bool { return s.at <= over && s.text != text })
	i, found := slices.BinarySearchFunc(texts, text, func(s saying, t string) int { return strings.Compare(s.text, t) })
	if found {
		texts[i].at = max(texts[i].at, at)
		return texts
	}
	texts = slices.Insert(texts, i, saying{text, at})
	if len(texts) > MaxSaid {
		oldest := 0
		for j := range texts {
			if texts[j].at < texts[oldest].at {
				oldest = j
			}
		}
		texts = slices.Delete(texts, oldest, oldest+1)
	}
	return texts
}

func show(texts []saying) []string {
	shown := make([]string, len(texts))
	for i, s := range texts {
		shown[i] = s.text
	}
	return shown
}

// Say implements aggregate.MetricObserver, like the methods below.
func (m *observed) Say(unit, help string, slice int64) {
	if m.said == nil {
		m.said = new(said)
	}
	over := slice - saidOverMs/m.sliceMs
	m.said.units, m.said.help = add(m.said.units, unit, slice, over), add(m.said.help, help, slice, over)
	m.change(m)
}

// State returns what has been said.
func (m *observed) State() (state []byte) {
	if m.said == nil {
		return nil
	}
	for _, texts := range [][]saying{m.said.units, m.said.help} {
		state = binary.AppendUvarint(state, uint64(len(texts)))
		for _, s := range texts {
			state = append(binary.AppendUvarint(binary.AppendVarint(state, s.at), uint64(len(s.text))), s.text...)
		}
	}
	return state
}

// Restore adds what State returned.
func (m *observed) Restore(state []byte) {
	r := aggregate.Reader{Rest: state}
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		at := r.Varint()
		m.Say(r.Text(), "", at)
	}
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		at := r.Varint()
		m.Say("", r.Text(), at)
	}
}

// bytes is what it takes.
func (s *said) bytes() int64 {
	if s == nil {
		return 0
	}
	n := int64(unsafe.Sizeof(*s))
	for _, texts := range [][]saying{s.units, s.help} {
		n += int64(cap(texts)) * int64(unsafe.Sizeof(saying{}))
		for _, t := range texts {
			n += int64(len(t.text))
		}
	}
	return n
}
