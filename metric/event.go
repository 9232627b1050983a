package metric

import (
	"fmt"
	"time"
	"unicode/utf8"

	"pulseboard/aggregate"
)

// Event is one measurement, or the end of a series.
type Event struct {
	Metric string
	Value  float64
	Tags   Tags
	Time   int64 // Event time, epoch ms. 0 = absent: the arrival time counts.
	Start  int64 // When the counter of a Delta or Cumulative began, epoch ms. 0 = not known.
	// Histogram stands in place of a value, nil = there is none: how many values were seen in each bin, since the Start of a Cumulative, else
	// since the event before.
	Histogram *aggregate.Histogram

	Kind  Kind
	Stale bool // The series ends here: there is no value, and nothing counts.
	Point bool // It is known by its series, Time and Nanos: sent again it is the same, and counts once.
	// Nanos are those of a Point that its time is after Time, less than a million: so those of one millisecond are told apart. Else it is 0.
	Nanos int32
}

// The codes of faults, in docs/protocol.md, "POST /ingest" and "Kafka".
const (
	CodeMalformed        = "malformed"
	CodeNameMissing      = "metric_name_missing"
	CodeNameInvalid      = "metric_name_invalid"
	CodeValueMissing     = "value_missing"
	CodeValueNotFinite   = "value_not_finite"
	CodeTagsInvalid      = "tags_invalid"
	CodeTooManyTags      = "too_many_tags"
	CodeEventTimeInvalid = "event_time_invalid"
	CodeKindInvalid      = "kind_invalid"
	CodeStartInvalid     = "start_invalid"
	CodeStaleInvalid     = "stale_invalid"
	CodePointInvalid     = "point_invalid"
	CodeHistogramInvalid = "histogram_invalid"
	CodeFromTheFuture    = "from_the_future"
	CodeTooLate          = "too_late"
	CodeNotJSON          = "not_json"
	CodeKeyMismatch      = "key_mismatch"
	CodeNotAcknowledged  = "not_acknowledged"
)

// Event times lie in [EarliestTime, LatestTime), epoch ms.
const (
	EarliestTime = 946_684_800_000     // 2000-01-01.
	LatestTime   = 253_402_300_800_000 // The year 10000.
)

// Fault says why an event cannot be counted.
type Fault struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error implements error.
func (f *Fault) Error() string { return f.Code + ": " + f.Detail }

// Limits say how far event time may be from the time of arrival, which is the
// record's timestamp.
type Limits struct {
	Late  time.Duration // Older than this is too late.
	Ahead time.Duration // Newer than this is from the future.
}

// DefaultLimits are those of docs/semantics.md, "Time".
func DefaultLimits() Limits { return Limits{Late: time.Minute, Ahead: 2 * time.Second} }

// Check returns the code of an event time, epoch ms, that is out of bounds, else "": it is too late by the
// newest timestamp, and from the future by the latest. Where one clock gives both they are the same.
func (l Limits) Check(eventTime, newest, latest int64) string {
	switch {
	case eventTime > latest+l.Ahead.Milliseconds():
		return CodeFromTheFuture
	case eventTime < newest-l.Late.Milliseconds():
		return CodeTooLate
	}
	return ""
}

// CheckTags says what is wrong with tags that are sorted by key, as they come in
// formats other than JSON; nil = nothing.
func CheckTags(t Tags) *Fault {
	for i := range t {
		key, value := t[i].Key, t[i].Value
		switch {
		case !ValidTagKey(key):
			return &Fault{CodeTagsInvalid, ValidateTagKey(key).Error()}
		case i > 0 && t[i-1].Key == key:
			return &Fault{CodeTagsInvalid, fmt.Sprintf("the tag %s is there twice", key)}
		case !utf8.ValidString(value):
			return &Fault{CodeTagsInvalid, fmt.Sprintf("the value of tag %s is not valid UTF-8", key)}
		case len(value) > MaxTagValue:
			return &Fault{CodeTagsInvalid, fmt.Sprintf("the value of tag %s has %d bytes; at most %d are allowed", key, len(value), MaxTagValue)}
		}
	}
	if len(t) > MaxTags {
		return &Fault{CodeTooManyTags, fmt.Sprintf("%d tags; at most %d are allowed", len(t), MaxTags)}
	}
	return nil
}

// TimeFault says what is wrong with an event time in epoch milliseconds by itself; nil = nothing.
func TimeFault(ms int64) *Fault {
	if ms < EarliestTime || ms >= LatestTime {
		return &Fault{CodeEventTimeInvalid, fmt.Sprintf("the time %d ms since 1970 is not between the years 2000 and 10000: is the precision right?", ms)}
	}
	return nil
}

// Check says what is wrong with the kind and the marks of an event together; nil = nothing.
func (e *Event) Check() *Fault {
	switch {
	case e.Histogram != nil && e.Kind == Gauge:
		return &Fault{CodeKindInvalid, "a histogram counts values: its kind is delta or cumulative, and not gauge"}
	case e.Start != 0 && !e.Kind.Grows():
		return &Fault{CodeStartInvalid, fmt.Sprintf("start is of counters, the kinds delta and cumulative; this is of kind %v", e.Kind)}
	case e.Start != 0 && e.Time != 0 && e.Start > e.Time:
		return &Fault{CodeStartInvalid, fmt.Sprintf("start is %d ms after event_time", e.Start-e.Time)}
	case e.Point && e.Time == 0:
		return &Fault{CodePointInvalid, "a point is known by its series and event_time, which is missing"}
	}
	return nil
}
