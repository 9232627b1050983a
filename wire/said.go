package wire

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"pulseboard/metric"
)

// Said is what a sender says of a metric: texts as they came, "" = nothing. metric.MakeAbout reads them.
type Said struct {
	Metric     string
	Unit, Help []byte
}

// Say takes note of what a sender says of a metric. What is repeated at once is one.
func (b *Batch) Say(s Said) {
	if len(s.Unit) == 0 && len(s.Help) == 0 {
		return
	}
	if n := len(b.Said); n > 0 {
		if last := &b.Said[n-1]; last.Metric == s.Metric && bytes.Equal(last.Unit, s.Unit) && bytes.Equal(last.Help, s.Help) {
			return
		}
	}
	b.Said = append(b.Said, s)
}

// says takes the unit or the help, if it is a string; null is as absent.
func (f *fields) says(unit bool, text []byte) bool {
	switch {
	case text != nil && text[0] != '"':
		return false
	case unit:
		f.unit = text
	default:
		f.help = text
	}
	return true
}

// say takes note of what fields say of a metric.
func (d *Decoder) say(name string, f *fields) {
	if f.unit != nil || f.help != nil {
		d.batch.Say(Said{name, said(f.unit), said(f.help)})
	}
}

// said is what a string stands for: a part of it, where it holds no escapes.
func said(quoted []byte) []byte {
	if len(quoted) == 0 {
		return nil
	}
	text := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(text, '\\') < 0 {
		return text
	}
	text, _ = jsontext.AppendUnquote(nil, quoted) // What is no Unicode is replaced.
	return text
}

// quickSaid reads what stands behind the events of a record: what EndRecord and EndRecordSaying append, but for the bracket.
func (d *Decoder) quickSaid(name string, rest []byte) bool {
	if string(rest) == "}" {
		return true
	}
	if len(rest) == 0 || rest[0] != ',' {
		return false
	}
	object, err := d.check(append([]byte{'{'}, rest[1:]...))
	if err != nil {
		return false
	}
	f := d.fields(&scanner[[]byte]{text: object})
	if f.name != nil || f.events != nil {
		return false // The last ones count.
	}
	d.say(name, &f)
	return true
}

// EndRecordSaying is EndRecord of a record that also says something of its metric.
func EndRecordSaying(dst []byte, unit, help string) []byte {
	dst = append(dst, ']')
	if unit != "" {
		dst, _ = jsontext.AppendQuote(append(dst, `,"unit":`...), unit) // Of valid UTF-8 it cannot fail.
	}
	if help != "" {
		dst, _ = jsontext.AppendQuote(append(dst, `,"help":`...), help)
	}
	return append(dst, '}')
}

// SaidBytes is at least what EndRecordSaying appends for an About.
const SaidBytes = len(`,"unit":"","help":""`) + 6*(4*metric.MaxUnit+metric.MaxHelp)
