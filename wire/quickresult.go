package wire

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pulseboard/metric"
)

// The quick reader takes results exactly as Encode writes them: all members in
// their order, no white space, tags sorted. It knows no errors: at anything else
// it stops, and encoding/json reads the result from its beginning. So encoding/json
// alone says what is right (FuzzQuickResult holds them together). A new member of
// Result, or another order, needs a line here, or every result is read slowly
// (TestQuickReadsWhatEncodeWrites fails then).
//
// All texts are parts of the message, all values are in one slice, and so are all
// tags: a result takes the same few allocations however many series it has.

// quickResult reads text, and reports whether it could.
func quickResult(text string) (*Result, bool) {
	r, q := new(Result), quickReader{rest: text}
	r.Key = q.literal(`{"key":`).text()
	r.WindowStart = q.literal(`,"window_start":`).integer()
	r.WindowEnd = q.literal(`,"window_end":`).integer()
	r.PrevEnd = q.literal(`,"prev_end":`).integer()
	r.Due = q.literal(`,"due":[`).due()
	if !q.literal(`,"newest_event":`).skip("null") {
		// By itself: readers keep it longer than the result.
		newest := q.integer()
		r.NewestEvent = &newest
	}
	if r.Complete = q.literal(`,"complete":`).skip("true"); !r.Complete {
		q.literal("false")
	}
	r.Matched = q.literal(`,"matched":`).number()
	r.SeriesVersion = q.literal(`,"series_version":`).text()
	r.Series = q.literal(`,"series":[`).series()
	r.Truncated = q.literal(`,"truncated":`).number()
	q.literal("}")
	return r, !q.failed && q.rest == ""
}

// quickReader reads the rest of a message. Once something was not as expected
// it has failed, nothing is left, and whatever it returns means nothing.
type quickReader struct {
	rest   string
	failed bool
}

func (q *quickReader) fail() { q.rest, q.failed = "", true }

// take returns the next n bytes.
func (q *quickReader) take(n int) (s string) {
	s, q.rest = q.rest[:n], q.rest[n:]
	return s
}

// skip reports whether s was next.
func (q *quickReader) skip(s string) bool {
	if !strings.HasPrefix(q.rest, s) {
		return false
	}
	q.rest = q.rest[len(s):]
	return true
}

// literal skips what must be next.
func (q *quickReader) literal(s string) *quickReader {
	if !q.skip(s) {
		q.fail()
	}
	return q
}

// more reports whether a list that ends with end has an item i.
func (q *quickReader) more(i int, end string) bool {
	if q.skip(end) || q.failed {
		return false
	}
	if i > 0 {
		q.literal(",")
	}
	return !q.failed
}

// text reads a string.
func (q *quickReader) text() string {
	if q.rest == "" || q.rest[0] != '"' {
		q.fail()
		return ""
	}
	plain := true
	for i := 1; i < len(q.rest); i++ {
		switch c := q.rest[i]; {
		case c == '"' && plain:
			return q.take(i + 1)[1:i]
		case c == '"':
			// Bad UTF-8 is an error here, but not to encoding/json.
			var space [128]byte // Enough for nearly all.
			s, err := jsontext.AppendUnquote(space[:0], q.take(i+1))
			if err != nil {
				q.fail()
			}
			return string(s)
		case c == '\\':
			plain = false
			i++ // A quote after it does not end the string.
		case c < ' ' || c >= 0x7f:
			plain = false
		}
	}
	q.fail()
	return ""
}

// integer reads a whole number of at most 18 digits: all of them fit.
func (q *quickReader) integer() (v int64) {
	negative := q.skip("-")
	n := 0
	for n < len(q.rest) && n < 18 && isDigit(q.rest[n]) {
		v = v*10 + int64(q.rest[n]-'0')
		n++
	}
	if n == 0 || n > 1 && q.rest[0] == '0' {
		q.fail()
		return 0
	}
	q.take(n)
	if negative {
		return -v
	}
	return v
}

// number reads an integer that is an int.
func (q *quickReader) number() int {
	v := q.integer()
	if int64(int(v)) != v {
		q.fail()
	}
	return int(v)
}

// float reads any number.
func (q *quickReader) float() float64 {
	n := numberEnd(q.rest, 0)
	if n < 0 {
		q.fail()
		return 0
	}
	v, err := strconv.ParseFloat(q.take(n), 64)
	if err != nil {
		q.fail()
	}
	return v
}

func (q *quickReader) due() []int64 {
	due := make([]int64, 0, 2) // Seldom more.
	for q.more(len(due), "]") {
		due = append(due, q.integer())
	}
	return due
}

func (q *quickReader) series() []SeriesValue {
	// No string holds these: its quotes are escaped. So there are as many, or fewer
	// when the text is none of ours.
	n := strings.Count(q.rest, `{"tags":`)
	series, values := make([]SeriesValue, 0, n), make([]float64, 0, n)
	var tags metric.Tags
	for q.more(len(series), "]") {
		var s SeriesValue
		if !q.literal(`{"tags":{`).skip("}") {
			if tags == nil {
				tags = make(metric.Tags, 0, strings.Count(q.rest, `":"`))
			}
			s.Tags, tags = q.tags(tags)
		}
		if !q.literal(`,"value":`).skip("null") {
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
func (q *quickReader) tags(all metric.Tags) (tags, more metric.Tags) {
	begin := len(all)
	for q.more(len(all)-begin, "}") {
		t := metric.Tag{Key: q.text()}
		t.Value = q.literal(":").text()
		if t.Value == "" || len(all) > begin && t.Key <= all[len(all)-1].Key {
			q.fail()
		}
		all = append(all, t)
	}
	return all[begin:len(all):len(all)], all
}
