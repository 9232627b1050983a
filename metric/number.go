package metric

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"
)

func isNumber(json []byte) bool { return json[0] == '-' || isDigit(json[0]) }

// number reads the value of an event.
func number(json []byte) (float64, *Fault) {
	if json == nil {
		return 0, &Fault{CodeValueMissing, "value is missing"}
	}
	v, err := strconv.ParseFloat(string(json), 64)
	if err != nil {
		return 0, &Fault{CodeValueNotFinite, fmt.Sprintf("value %.40s is beyond the numbers that 64 bits hold", json)}
	}
	return v, nil
}

// time reads an event time, RFC 3339 or a number of milliseconds since the
// epoch. Fractions of a millisecond are cut off.
func (d *Decoder) time(json []byte) (int64, *Fault) {
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
		return 0, &Fault{CodeEventTimeInvalid, fmt.Sprintf("event_time %.*s is neither RFC 3339 nor milliseconds since 1970", maxTimeTextCharacters, json)}
	case ms < earliestEventTimeMs:
		return 0, &Fault{CodeEventTimeInvalid, fmt.Sprintf("event_time %.*s is before the year 2000", maxTimeTextCharacters, json)}
	}
	return ms, nil
}

func clockTime(text []byte) (int64, bool) {
	if len(text) > maxTimeTextCharacters {
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
		return ms, err == nil && ms < latestEventTimeMs
	}
	v, err := strconv.ParseFloat(string(json), 64)
	if err != nil || math.Abs(v) >= latestEventTimeMs {
		return 0, false
	}
	return int64(v), true
}
