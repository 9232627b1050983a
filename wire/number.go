package wire

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"pulseboard/metric"
)

// maxTimeText bounds the text of a time, in bytes.
const maxTimeText = 64

func isNumber(json []byte) bool { return json[0] == '-' || isDigit(json[0]) }

// isBoolean and isTrue tell of a valid JSON value; absent is not true.
func isBoolean(json []byte) bool { return json[0] == 't' || json[0] == 'f' }
func isTrue(json []byte) bool    { return json != nil && json[0] == 't' }

// number reads the value of an event.
func number(json []byte) (float64, *metric.Fault) {
	if json == nil {
		return 0, newFault(metric.CodeValueMissing, "value is missing")
	}
	v, err := strconv.ParseFloat(string(json), 64)
	if err != nil {
		return 0, newFault(metric.CodeValueNotFinite, fmt.Sprintf("value %.40s is beyond the numbers that 64 bits hold", json))
	}
	return v, nil
}

// quotesHint says that a number stands in a string, if it does.
func quotesHint(json []byte) string {
	if n := len(json); n > 2 && json[0] == '"' && json[n-1] == '"' && numberEnd(json[1:n-1], 0) == n-2 {
		return ": leave out its quotes"
	}
	return ""
}

// numberText is the text of a number as the value of a tag, so that equal ones are the same however a producer writes
// them: of whole numbers their digits, as many as there are, since they are ids; of others the shortest text that reads
// back as the same 64 bits, as JavaScript writes it. It is "" of a number that 64 bits cannot hold.
func numberText(json string) string {
	if strings.Trim(json, "-0123456789") == "" {
		if json == "-0" {
			return "0"
		}
		return json
	}
	v, err := strconv.ParseFloat(json, 64)
	switch size := math.Abs(v); {
	case err != nil:
		return ""
	case v == 0:
		return "0" // Of -0 too.
	case size < 1e21 && size >= 1e-6:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	text := strconv.FormatFloat(v, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e") // With a sign and two digits or more.
	return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}

// time reads the time that a member has, RFC 3339 or a number of milliseconds since the
// epoch. Fractions of a millisecond are cut off.
func (d *Decoder) time(member string, json []byte, code string) (ms int64, nanos int32, fault *metric.Fault) {
	ok := false
	var text []byte
	if json[0] == '"' {
		var err error
		if text, err = d.unquote(json); err == nil {
			ms, nanos, ok = clockTime(text)
		}
	} else {
		ms, ok = epochTime(json)
	}
	var wrong, why string
	switch {
	case !ok:
		wrong = "is neither RFC 3339 nor milliseconds since 1970"
	case ms < metric.EarliestTime:
		wrong = "is before the year 2000"
	default:
		return ms, nanos, nil
	}
	if text != nil {
		text, _ = d.unquote(json) // clockTime has changed it.
		why = clockHint(text)
	} else {
		why = epochHint(string(json))
	}
	return 0, 0, newFault(code, fmt.Sprintf("%s %.*s %s%s", member, maxTimeText, json, wrong, why))
}

// clockTime reads RFC 3339, which allows small letters and, for T, a space. It changes text. The second 60, which is added
// to some days, is the one that comes after it, as clocks of computers have it.
func clockTime(text []byte) (ms int64, nanos int32, ok bool) {
	const day, second = len("2006-01-02"), len("2006-01-02T15:04:")
	if len(text) > maxTimeText {
		return 0, 0, false
	}
	for i, c := range text {
		if c == 't' || c == 'z' {
			text[i] = c - 'a' + 'A'
		}
	}
	if len(text) > day && text[day] == ' ' {
		text[day] = 'T'
	}
	leap := len(text) >= second+2 && string(text[second:second+2]) == "60"
	if leap {
		copy(text[second:], "59")
	}
	var t time.Time
	if err := t.UnmarshalText(text); err != nil {
		return 0, 0, false
	}
	ms, nanos = t.UnixMilli(), int32(t.Nanosecond()%1_000_000)
	if leap {
		const dayMs, lastSecond = 86_400_000, 86_399_000
		ms += 1000
		return ms, nanos, ms-1000-(ms-1000)/dayMs*dayMs >= lastSecond && ms < metric.LatestTime
	}
	return ms, nanos, true
}

// clockHint says what is likely to be wrong with a text that clockTime has not taken. It changes text.
func clockHint(text []byte) string {
	const date, minutes, seconds = "0000-00-00", "0000-00-00T00:00", "0000-00-00T00:00:00"
	if end := numberEnd(text, 0); end == len(text) {
		if hint := epochHint(string(text)); hint != "" {
			return hint
		}
		return ": leave out its quotes"
	}
	if len(text) > len(date) && (text[len(date)] == ' ' || text[len(date)] == 't') {
		text[len(date)] = 'T'
	}
	switch {
	case len(text) == len(date) && hasForm(text, date):
		return ": it has no time of day, such as T10:00:00Z"
	case !hasForm(text, minutes):
		return ""
	case !hasForm(text, seconds):
		return ": it has no seconds"
	}
	rest := bytes.TrimLeft(text[len(seconds):], ".,0123456789")
	zone := bytes.TrimLeft(rest, "+-")
	digits := len(zone) > 0 && len(bytes.Trim(zone, "0123456789")) == 0
	switch {
	case len(rest) == 0:
		return ": it has no offset from UTC, such as Z or +01:00"
	case len(zone) == len(rest)-1 && digits:
		return ": its offset from UTC must have hours and minutes with a colon, such as +01:00"
	case string(text[len(seconds)-2:len(seconds)]) == "60":
		return ": a second 60 there is only at the end of a day of UTC, 23:59:60Z"
	}
	return ""
}

// hasForm reports whether a text begins with a form, whose zeros stand for digits.
func hasForm(text []byte, form string) bool {
	if len(text) < len(form) {
		return false
	}
	for i := range len(form) {
		if form[i] == '0' && !isDigit(text[i]) || form[i] != '0' && text[i] != form[i] {
			return false
		}
	}
	return true
}

// epochHint says which unit a number has that is none of milliseconds since 1970 in the bounds of event times.
func epochHint(text string) string {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return ""
	}
	for _, u := range []struct {
		name, change string
		perMs        float64
	}{{"seconds", "multiply by 1,000", 1e-3}, {"microseconds", "divide by 1,000", 1e3}, {"nanoseconds", "divide by 1,000,000", 1e6}} {
		if ms := v / u.perMs; ms >= metric.EarliestTime && ms < metric.LatestTime {
			return fmt.Sprintf(": it looks like %s, %s", u.name, u.change)
		}
	}
	return ""
}

func epochTime(json []byte) (int64, bool) {
	if !bytes.ContainsAny(json, "eE") {
		// Exact for any number of decimals.
		whole, _, _ := bytes.Cut(json, []byte{'.'})
		ms, err := strconv.ParseInt(string(whole), 10, 64)
		return ms, err == nil && ms < metric.LatestTime
	}
	v, err := strconv.ParseFloat(string(json), 64)
	if err != nil || math.Abs(v) >= metric.LatestTime {
		return 0, false
	}
	return int64(v), true
}
