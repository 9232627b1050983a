package metric

import "time"

// Event is one measurement.
type Event struct {
	Metric string
	Value  float64
	Tags   Tags
	Time   int64 // Event time, epoch ms. 0 = absent: the arrival time counts.
}

// The codes of faults, in protocol.md, "POST /ingest" and "Kafka".
const (
	CodeMalformed         = "malformed"
	CodeNameMissing       = "metric_name_missing"
	CodeNameInvalid       = "metric_name_invalid"
	CodeValueMissing      = "value_missing"
	CodeValueNotFinite    = "value_not_finite"
	CodeTagsInvalid       = "tags_invalid"
	CodeTooManyTags       = "too_many_tags"
	CodeEventTimeInvalid  = "event_time_invalid"
	CodeFromTheFuture     = "from_the_future"
	CodeTooLate           = "too_late"
	CodeNotJSON           = "not_json"
	CodeKeyMismatch       = "key_mismatch"
	CodeNotAcknowledged   = "not_acknowledged"
	earliestEventTimeMs   = 946_684_800_000     // 2000-01-01.
	latestEventTimeMs     = 253_402_300_800_000 // The year 10000.
	maxTimeTextCharacters = 64
)

// Fault says why an event cannot be counted.
type Fault struct {
	Code   string
	Detail string
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
