package wire

import "bytes"

// UnknownMember is a member that events of a request have and that is none of an event's: nothing is taken from it.
type UnknownMember struct {
	Name  string // Cut to maxUnknownName bytes; "" stands for all beyond the first maxUnknown names.
	Count int    // How often it came.
	Index int    // The position in the input of the first event that has it.
	Meant string // The member that is likely to be meant; "" = none.
}

// Bounds of what a request's batch tells of unknown members.
const (
	maxUnknown     = 16
	maxUnknownName = 64
)

// passOver takes note of a member of the next event that is none of an event's.
func (d *Decoder) passOver(name []byte, f *fields) {
	meant := meant(name)
	switch {
	case meant == "metric_name" && f.likeName == "":
		f.likeName = cutName(name)
	case meant == "value" && f.likeValue == "":
		f.likeValue = cutName(name)
	}
	if !d.indexed {
		return // Nobody is told of a record's.
	}
	b := d.batch
	short := name[:min(len(name), maxUnknownName)]
	for i := range b.Unknown {
		if u := &b.Unknown[i]; u.Name == string(short) || i == maxUnknown {
			u.Count++
			return
		}
	}
	u := UnknownMember{Count: 1, Index: b.N}
	if len(b.Unknown) < maxUnknown {
		u.Name, u.Meant = string(short), meant
	}
	b.Unknown = append(b.Unknown, u)
}

func cutName(name []byte) string { return string(name[:min(len(name), maxUnknownName)]) }

// meant returns the member of an event that a name of others stands for, "" when there is none.
func meant(name []byte) string {
	var space [16]byte
	short := space[:0]
	for _, c := range name {
		switch {
		case c == '_', c == '-', c == '.', c == ' ', c == '@':
			continue
		case len(short) == len(space):
			return ""
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		short = append(short, c)
	}
	switch string(short) {
	case "name", "metric", "metricname", "measurement":
		return "metric_name"
	case "timestamp", "time", "ts", "eventtime", "datetime", "date", "timestampms", "epoch":
		return "event_time"
	case "labels", "label", "tag", "tags", "dimensions", "attributes":
		return "tags"
	case "value", "val", "v":
		return "value"
	case "kind", "type", "metrictype":
		return "kind"
	case "start", "starttime", "starttimestamp":
		return "start"
	case "point", "stale", "histogram", "events":
		return string(bytes.ToLower(name)) // Written in capitals.
	}
	return ""
}
