package wire

import (
	"encoding/json"
	"math"
	"strconv"

	"pulseboard/metric"
)

// MaxSeries is how many series of a group_by leave the pipeline in one result.
const MaxSeries = 100

// Result is the value of one query for one window: the Redis Pub/Sub message
// and the history entry of docs/protocol.md, "Result". Times are epoch
// milliseconds; the window is [WindowStart, WindowEnd).
type Result struct {
	Key           string        `json:"key"`
	WindowStart   int64         `json:"window_start"`
	WindowEnd     int64         `json:"window_end"` // The sequence number.
	PrevEnd       int64         `json:"prev_end"`   // The end published before this one, 0 when there is none.
	Due           []int64       `json:"due"`        // The refresh intervals, in ms, that WindowEnd is a multiple of.
	NewestEvent   *int64        `json:"newest_event"`
	Complete      bool          `json:"complete"`
	Matched       int           `json:"matched"`
	SeriesVersion string        `json:"series_version"`
	Series        []SeriesValue `json:"series"`
	Truncated     int           `json:"truncated"`
	UnknownStarts int64         `json:"unknown_starts,omitempty"` // Samples of counters in the window that count 0: when they began is not known.
	Error         float64       `json:"error,omitempty"`          // How far off values may be, relatively, where it is more than usual.
	ReachMs       int64         `json:"reach_ms,omitempty"`       // How far before its end the window hangs on events, where the query does not say it.
}

// SeriesValue is the value of one resulting series; not grouped, there is
// exactly one, with no tags. On the wire its value is a number or a distribution,
// or null when both are nil: nothing in the window, or a number that JSON cannot carry.
type SeriesValue struct {
	Tags  metric.Tags
	Value *float64
	Bins  []Bin // Of the aggregation histogram, rising; in place of Value.
	Count int64
}

// MarshalJSON writes {tags, value, count}.
func (s SeriesValue) MarshalJSON() ([]byte, error) { return s.append(nil), nil }

func (s *SeriesValue) append(b []byte) []byte {
	b = s.Tags.AppendJSON(append(b, `{"tags":`...))
	b = append(b, `,"value":`...)
	switch {
	case s.Bins != nil:
		b = appendBins(b, s.Bins)
	case s.Value != nil:
		b = appendValue(b, *s.Value)
	default:
		b = append(b, "null"...)
	}
	return append(appendInt(b, `,"count":`, s.Count), '}')
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (s *SeriesValue) UnmarshalJSON(b []byte) error {
	var v struct {
		Tags  metric.Tags `json:"tags"`
		Value *Value      `json:"value"`
		Count int64       `json:"count"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*s = SeriesValue{Tags: v.Tags, Count: v.Count}
	switch {
	case v.Value == nil:
	case v.Value.Bins != nil:
		s.Bins = v.Value.Bins
	default:
		s.Value = &v.Value.Number
	}
	return nil
}

// Finite returns a pointer to v, or nil when JSON cannot carry v.
func Finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Encode returns the wire form.
func (r *Result) Encode() []byte {
	b := make([]byte, 0, r.about())
	b = appendText(b, `{"key":`, r.Key)
	b = appendInt(b, `,"window_start":`, r.WindowStart)
	b = appendInt(b, `,"window_end":`, r.WindowEnd)
	b = appendInt(b, `,"prev_end":`, r.PrevEnd)
	b = append(b, `,"due":[`...)
	for _, ms := range r.Due {
		b = appendInt(comma(b), "", ms)
	}
	b = append(b, `],"newest_event":`...)
	if r.NewestEvent == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, *r.NewestEvent, 10)
	}
	b = strconv.AppendBool(append(b, `,"complete":`...), r.Complete)
	b = appendInt(b, `,"matched":`, int64(r.Matched))
	b = appendText(b, `,"series_version":`, r.SeriesVersion)
	b = append(b, `,"series":[`...)
	for i := range r.Series {
		b = r.Series[i].append(comma(b))
	}
	b = appendInt(b, `],"truncated":`, int64(r.Truncated))
	if r.UnknownStarts > 0 {
		b = appendInt(b, `,"unknown_starts":`, r.UnknownStarts)
	}
	if r.Error > 0 {
		b = appendValue(append(b, `,"error":`...), r.Error)
	}
	if r.ReachMs > 0 {
		b = appendInt(b, `,"reach_ms":`, r.ReachMs)
	}
	return append(b, '}')
}

// about is the length of the wire form, within a few bytes of each text that needs no escapes.
func (r *Result) about() int {
	n := 250 + len(r.Key) + 12*len(r.Due)
	for i := range r.Series {
		s := &r.Series[i]
		n += 60 + 30*len(s.Bins)
		for _, t := range s.Tags {
			n += len(t.Key) + len(t.Value) + len(`"":"",`)
		}
	}
	return n
}

// DecodeResult reads the wire form. The result keeps a text that is a string:
// its own texts are parts of it.
func DecodeResult[T string | []byte](text T) (*Result, error) {
	if r, ok := quickResult(string(text)); ok {
		return r, nil
	}
	return strictResult([]byte(text))
}

func strictResult(text []byte) (*Result, error) {
	r := new(Result)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, err
	}
	return r, nil
}
