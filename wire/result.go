package wire

import (
	"encoding/json"
	"math"

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
}

// SeriesValue is the value of one resulting series; not grouped, there is
// exactly one, with no tags. A nil Value is absent: nothing in the window, or
// a number that JSON cannot carry.
type SeriesValue struct {
	Tags  metric.Tags `json:"tags"`
	Value *float64    `json:"value"`
	Count int64       `json:"count"`
}

// Finite returns a pointer to v, or nil when JSON cannot carry v.
func Finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// Encode returns the wire form.
func (r *Result) Encode() ([]byte, error) {
	if r.Series == nil {
		r.Series = []SeriesValue{}
	}
	if r.Due == nil {
		r.Due = []int64{}
	}
	return json.Marshal(r)
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
