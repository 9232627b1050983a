package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Sizes.
const (
	MaxTags    = 100             // Keys of a metric that are shown.
	MaxValues  = 100             // Values of a key that are shown.
	MaxEntry   = 64 << 10        // Bytes of an entry in Redis; values are cut to fit.
	MaxMetrics = 100_000         // In Redis.
	StaleAfter = time.Minute * 3 // Without a refresh an entry is stale: its writers refresh each within a minute.
)

// Entry is what is known of a metric. Times are epoch milliseconds. Its lists may be shared and are never changed.
type Entry struct {
	Metric string `json:"metric"`
	// Series counts those that had an event within the retention of the
	// pipeline. Overflow says that a limit turned away further ones, which
	// count together (__other__).
	Series   int   `json:"series"`
	Overflow bool  `json:"overflow"`
	Tags     []Tag `json:"tags"`      // Rising by key.
	MoreTags int   `json:"more_tags"` // Keys that are not among them.
	// Kinds are those of the events so far: event, cumulative, gauge, histogram.
	Kinds []string `json:"kinds"`
	// Units are those of its values that senders name, as widgets have them, and Help what they say of it, both rising and at most MaxSaid:
	// several where senders disagree.
	Units []string `json:"units"`
	Help  []string `json:"help"`
	// Arrival is how many seconds after their time 99 of 100 events came, lately.
	Arrival int `json:"arrival_seconds"`
	// LastEvent is the newest event time.
	LastEvent int64 `json:"last_event"`
	// LastMean is the mean of all events, of all series, in the newest slice of
	// event time that has any; null when it is beyond the numbers of JSON.
	LastMean *float64 `json:"last_mean"`
	// LastMinute counts the events of the last minute that is over, in steps of 5 s.
	LastMinute int64 `json:"events_last_minute"`
	// Updated is when the pipeline wrote this, by the clock of Redis; 0 before that.
	Updated int64 `json:"updated"`
	// Stale says that nobody refreshed this for StaleAfter: its pipeline has
	// stopped, or does not hold the metric since a restart. Never in Redis.
	Stale bool `json:"stale,omitempty"`
}

// Tag is a key that some series have, and the values that they have of it.
type Tag struct {
	Key    string   `json:"key"`
	Values []string `json:"values"` // At most MaxValues, rising.
	More   int      `json:"more"`   // Values that are not among them.
}

// Gone reports whether the metric has no series any more. Such an entry is not in Redis.
func (e *Entry) Gone() bool { return e.Series == 0 && !e.Overflow }

// Encode returns the form in Redis, of at most MaxEntry bytes: when it would be
// longer, each tag shows fewer values, and More says how many there are.
func (e Entry) Encode() ([]byte, error) {
	for n := MaxValues; ; n /= 2 {
		text, err := e.show(n).marshal()
		if err != nil || len(text) <= MaxEntry || n == 0 {
			return text, err
		}
	}
}

// show returns the entry with at most so many values of each tag.
func (e Entry) show(values int) Entry {
	tags := make([]Tag, 0, min(len(e.Tags), MaxTags))
	for i, tag := range e.Tags {
		if i == MaxTags {
			e.MoreTags += len(e.Tags) - MaxTags
			break
		}
		if extra := len(tag.Values) - values; extra > 0 {
			tag.Values, tag.More = tag.Values[:values], tag.More+extra
		}
		if tag.Values == nil {
			tag.Values = []string{}
		}
		tags = append(tags, tag)
	}
	e.Tags = tags
	return e
}

func (e Entry) marshal() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // It goes into no page as it is.
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("cannot encode the catalog's entry of %q: %w", e.Metric, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// decode reads the entry of a metric at a time by the clock of Redis; false when text is none.
func decode(metric, text string, now time.Time) (e Entry, ok bool) {
	if json.Unmarshal([]byte(text), &e) != nil || e.Metric != metric {
		return Entry{}, false
	}
	e.Stale = now.Sub(time.UnixMilli(e.Updated)) > StaleAfter
	if e.Tags == nil {
		e.Tags = []Tag{}
	}
	for _, list := range []*[]string{&e.Kinds, &e.Units, &e.Help} {
		if *list == nil {
			*list = []string{}
		}
	}
	for i := range e.Tags {
		if e.Tags[i].Values == nil {
			e.Tags[i].Values = []string{}
		}
	}
	return e, true
}
