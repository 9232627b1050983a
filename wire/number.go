package wire

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
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

// time reads the time that a member has, RFC 3339 or a number of milliseconds since the
// epoch. Fractions of a millisecond are cut off.
func (d *Decoder) time(member string, json []byte, code string) (int64, *metric.Fault) {
	ms, ok := int64(0), false
	if json[0] == '"' {
		text, err := d.unquote(json)
		if err == nil {
			ms, ok = clockTime(text)
		}
	} else {
		ms, ok = epochTime(json)
	}
	switch {
	case !ok:
		return 0, newFault(code, fmt.Sprintf("%s %.*s is neither RFC 3339 nor milliseconds since 1970", member, maxTimeText, json))
	case ms < metric.EarliestTime:
		return 0, newFault(code, fmt.Sprintf("%s %.*s is before the year 2000", member, maxTimeText, json))
	}
	return ms, nil
}

func clockTime(text []byte) (int64, bool) {
	if len(text) > maxTimeText {
		return 0, false
	}
	// RFC 3339 allows small letters, time.Time does not.
	for i, c := range text {
		if c == 't' || c == 'z' {
			text[i] = c - 'a' + 'A'
		}
	}
	var t time.Time
	if err := t.UnmarshalText(text); err != nil {
		return 0, false
	}
	return t.UnixMilli(), true
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
