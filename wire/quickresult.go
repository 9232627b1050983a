package wire

import (
	"errors"
	"strings"

	"pulseboard/metric"
)

// The quick reader takes results as Encode writes them: all members in their order,
// tags sorted. At anything else it stops, and encoding/json reads the result from its
// beginning. So encoding/json alone decides what a text means (FuzzQuickResult
// compares them). A new member of
// Result, or another order, needs a line here, or every result is read slowly
// (TestQuickReadsWhatEncodeWrites fails then).
//
// All texts are parts of the message, all values are in one slice, and so are all
// tags: a result takes the same few allocations however many series it has.

// quickResult reads text, and reports whether it could.
func quickResult(text string) (*Result, bool) {
	r, q := new(Result), &quickReader{text: text}
	r.Key = q.literal(`{"key":`).unquoted()
	r.WindowStart = q.literal(`,"window_start":`).integer()
	r.WindowEnd = q.literal(`,"window_end":`).integer()
	r.PrevEnd = q.literal(`,"prev_end":`).integer()
	r.Due = dueOf(q.literal(`,"due":[`))
	if !q.literal(`,"newest_event":`).null() {
		// By itself: readers keep it longer than the result.
		newest := q.integer()
		r.NewestEvent = &newest
	}
	r.Complete = q.literal(`,"complete":`).boolean()
	r.Matched = q.literal(`,"matched":`).number()
	r.SeriesVersion = q.literal(`,"series_version":`).unquoted()
	r.Series = seriesOf(q.literal(`,"series":[`))
	r.Truncated = q.literal(`,"truncated":`).number()
	if q.next(`,"unknown_starts":`) {
		r.UnknownStarts = q.integer()
	}
	if q.next(`,"error":`) {
		r.Error = q.float()
	}
	if q.next(`,"reach_ms":`) {
		r.ReachMs = q.integer()
	}
	q.literal("}")
	return r, q.err == nil && q.i == len(text)
}

type quickReader = scanner[string]

func dueOf(q *quickReader) []int64 {
	due := make([]int64, 0, 2) // Seldom more.
	for q.more(len(due), ']') {
		due = append(due, q.integer())
	}
	return due
}

func seriesOf(q *quickReader) []SeriesValue {
	// No string holds these: its quotes are escaped. So there are as many, or fewer
	// when the text is none of ours.
	n := strings.Count(q.text[q.i:], `{"tags":`)
	series, values := make([]SeriesValue, 0, n), make([]float64, 0, n)
	var tags metric.Tags
	for q.more(len(series), ']') {
		var s SeriesValue
		if !q.literal(`{"tags":{`).next("}") {
			if tags == nil {
				tags = make(metric.Tags, 0, strings.Count(q.text[q.i:], `":"`))
			}
			s.Tags, tags = tagsOf(q, tags)
		}
		switch q.literal(`,"value":`); {
		case q.null():
		case q.next("["):
			s.Bins = q.bins()
		default:
			// When append moves the values, those before stay where they are.
			values = append(values, q.float())
			s.Value = &values[len(values)-1]
		}
		s.Count = q.literal(`,"count":`).integer()
		q.literal("}")
		series = append(series, s)
	}
	return series
}

// tags appends the members of an object, which has some, to those of the series before.
func tagsOf(q *quickReader, all metric.Tags) (tags, more metric.Tags) {
	begin := len(all)
	for q.more(len(all)-begin, '}') {
		t := metric.Tag{Key: q.unquoted()}
		t.Value = q.literal(":").unquoted()
		if t.Value == "" || len(all) > begin && t.Key <= all[len(all)-1].Key {
			q.fail(errors.New("a tag without a value, or out of order"))
		}
		all = append(all, t)
	}
	return all[begin:len(all):len(all)], all
}
