package wire

import (
	"bytes"
	"math"
	"time"

	"pulseboard/metric"
)

// The quick reader takes events in the form in which nearly all come: known
// members once each, strings without escapes, nothing that is null, no fault.
// It has no verdicts and no errors: where anything is otherwise it stops, and
// the strict decoder reads that event, or, after an error of syntax, the whole. So the
// strict decoder alone decides what is right (FuzzQuickIsStrict compares them).

// texts are the parts of an event's JSON that go into a record as they are.
type texts struct {
	value []byte // Of the body; nil where it is too long for eventBytes of ingest.
	tags  string // In the canonical form, remembered with the tags; "" = no tags.
}

// MaxValueText is the longest text of a value in a record, as AppendFloat makes it.
const MaxValueText = 24

// AppendEvent appends event i of Events as AppendRecordEvent does, sooner. The
// body that was decoded must still be as it was.
func (b *Batch) AppendEvent(dst []byte, i int) []byte {
	e := &b.Events[i]
	if i >= len(b.texts) || b.texts[i].value == nil {
		return AppendRecordEvent(dst, e)
	}
	t := &b.texts[i]
	dst = append(append(dst, `{"value":`...), t.value...)
	if t.tags != "" {
		dst = append(append(dst, `,"tags":`...), t.tags...)
	}
	return appendRest(dst, e)
}

// quickRequest reads a body into the batch, and reports whether it could.
func (d *Decoder) quickRequest(body []byte) (ok bool, err error) {
	i := skipSpace(body, 0)
	if i == len(body) {
		return false, nil
	}
	switch body[i] {
	case '[':
		i, err = d.quickList(body, i)
	case '{':
		if inner, found := d.wrapper(body, i); found {
			if i, err = d.quickList(body, inner); err != nil || i < 0 {
				return false, err
			}
			if i = skipSpace(body, i); i == len(body) || body[i] != '}' {
				return false, nil
			}
			i++
			break
		}
		if i = d.quickEvent(body, i); i < 0 {
			return false, nil
		}
		d.take()
	default:
		return false, nil
	}
	return err == nil && i >= 0 && skipSpace(body, i) == len(body), err
}

// wrapper finds the list of {"events":[…]}.
func (*Decoder) wrapper(body []byte, i int) (list int, ok bool) {
	const name = `"events"`
	i = skipSpace(body, i+1)
	if !bytes.HasPrefix(body[i:], []byte(name)) {
		return 0, false
	}
	i = colon(body, i+len(name))
	return i, i > 0 && i < len(body) && body[i] == '['
}

// quickList reads the array at i and returns where it ends, -1 when it is not JSON.
func (d *Decoder) quickList(body []byte, i int) (int, error) {
	i = skipSpace(body, i+1)
	if i < len(body) && body[i] == ']' {
		return i + 1, nil
	}
	for {
		if d.batch.N == d.limit {
			return -1, ErrTooMany
		}
		if i = d.one(body, i); i < 0 {
			return -1, nil
		}
		if i = skipSpace(body, i); i == len(body) {
			return -1, nil
		}
		switch body[i] {
		case ']':
			return i + 1, nil
		case ',':
			i = skipSpace(body, i+1)
		default:
			return -1, nil
		}
	}
}

// one reads the event at i, whatever it is, and returns where it ends, -1 when it is not JSON.
func (d *Decoder) one(body []byte, i int) int {
	if end := d.quickEvent(body, i); end >= 0 {
		d.take()
		return end
	}
	value, end, err := d.first(body[i:])
	if err != nil {
		return -1
	}
	d.add(d.element(&scanner[[]byte]{text: value}))
	return i + end
}

// take puts the event of quickEvent into the batch.
func (d *Decoder) take() {
	b := d.batch
	if d.keepTexts {
		for len(b.texts) < len(b.Events) {
			b.texts = append(b.texts, texts{})
		}
		b.texts = append(b.texts, d.read.texts)
	}
	b.Events = append(b.Events, d.read.Event)
	b.Index = append(b.Index, b.N)
	b.N++
}

// quickEvent reads the event at i into d.read and returns where it ends, -1 when
// it is not in the plain form.
func (d *Decoder) quickEvent(body []byte, i int) int {
	if i >= len(body) || body[i] != '{' {
		return -1
	}
	r := &d.read
	r.Event, r.texts = metric.Event{}, texts{}
	var has eventMembers
	for i = skipSpace(body, i+1); ; {
		var m eventMembers
		if m, i = quickMember(body, i); i < 0 || i == len(body) || has&m != 0 {
			return -1
		}
		has |= m
		switch m {
		case hasName:
			r.Metric, i = d.quickName(body, i)
		case hasValue:
			i = r.quickValue(body, i)
		case hasTags:
			i = d.quickTags(body, i)
		case hasTime:
			r.Time, i = quickTime(body, i)
		case hasStart:
			r.Start, i = quickTime(body, i)
		case hasKind:
			r.Kind, i = quickKind(body, i)
		case hasStale:
			r.Stale, i = quickBoolean(body, i)
		case hasPoint:
			r.Point, i = quickBoolean(body, i)
		}
		if i < 0 {
			return -1
		}
		if i = skipSpace(body, i); i == len(body) {
			return -1
		}
		if body[i] == '}' {
			break
		}
		if body[i] != ',' {
			return -1
		}
		i = skipSpace(body, i+1)
	}
	if (has&hasValue == 0) != r.Stale || (has&hasName == 0) != d.inRecord || has&marks != 0 && r.Check() != nil {
		return -1
	}
	return i + 1
}

// eventMembers are those of an event that were read.
type eventMembers uint8

const (
	hasName eventMembers = 1 << iota
	hasValue
	hasTags
	hasTime
	hasKind
	hasStart
	hasStale
	hasPoint

	marks = hasKind | hasStart | hasPoint
)

// quickMember reads the name of a member and the colon after it, and returns where
// its value begins, -1 when it is none of an event's.
func quickMember(body []byte, i int) (eventMembers, int) {
	rest := body[min(i, len(body)):]
	switch {
	case bytes.HasPrefix(rest, []byte(`"value"`)):
		return hasValue, colon(body, i+len(`"value"`))
	case bytes.HasPrefix(rest, []byte(`"tags"`)):
		return hasTags, colon(body, i+len(`"tags"`))
	case bytes.HasPrefix(rest, []byte(`"event_time"`)):
		return hasTime, colon(body, i+len(`"event_time"`))
	case bytes.HasPrefix(rest, []byte(`"metric_name"`)):
		return hasName, colon(body, i+len(`"metric_name"`))
	case bytes.HasPrefix(rest, []byte(`"kind"`)):
		return hasKind, colon(body, i+len(`"kind"`))
	case bytes.HasPrefix(rest, []byte(`"start"`)):
		return hasStart, colon(body, i+len(`"start"`))
	case bytes.HasPrefix(rest, []byte(`"point"`)):
		return hasPoint, colon(body, i+len(`"point"`))
	case bytes.HasPrefix(rest, []byte(`"stale"`)):
		return hasStale, colon(body, i+len(`"stale"`))
	}
	return 0, -1
}

// event is what quickEvent reads into.
type event struct {
	metric.Event
	texts
}

// colon returns where the value after a member's name begins, -1 when there is no colon.
func colon(body []byte, i int) int {
	i = skipSpace(body, i)
	if i == len(body) || body[i] != ':' {
		return -1
	}
	return skipSpace(body, i+1)
}

func (d *Decoder) quickName(body []byte, i int) (string, int) {
	end, plain := stringEnd(body, i)
	if !plain {
		return "", -1
	}
	text := body[i+1 : end-1]
	if s, ok := d.texts[string(text)]; ok && d.lastName == s {
		return s, end
	}
	if !metric.ValidName(text) {
		return "", -1
	}
	d.lastName = d.text(text)
	return d.lastName, end
}

// Powers of ten that are floating-point numbers without an error.
func power(n int) float64 {
	return [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}[n]
}

// quickValue reads a number of at most 15 digits without an exponent: it and the
// power of ten that divides it are exact, so one division rounds as IEEE 754 asks.
func (e *event) quickValue(body []byte, i int) int {
	begin, mantissa, digits, decimals := i, int64(0), 0, 0
	negative := body[i] == '-'
	if negative {
		i++
	}
	first := i
	for ; i < len(body) && isDigit(body[i]); i++ {
		mantissa = mantissa*10 + int64(body[i]-'0')
		if digits++; digits > 15 {
			return e.slowValue(body, begin)
		}
	}
	if digits == 0 || digits > 1 && body[first] == '0' {
		return -1
	}
	if i < len(body) && body[i] == '.' {
		for i++; i < len(body) && isDigit(body[i]); i++ {
			mantissa = mantissa*10 + int64(body[i]-'0')
			decimals++
			if digits++; digits > 15 {
				return e.slowValue(body, begin)
			}
		}
		if decimals == 0 {
			return -1
		}
	}
	if i < len(body) && (body[i] == 'e' || body[i] == 'E') {
		return e.slowValue(body, begin)
	}
	e.Value = float64(mantissa) / power(decimals)
	if negative {
		e.Value = math.Copysign(e.Value, -1) // Of -0 too.
	}
	e.value = body[begin:i]
	return i
}

// slowValue reads any number.
func (e *event) slowValue(body []byte, i int) int {
	begin := i
	i = numberEnd(body, i)
	if i < 0 {
		return -1
	}
	v, fault := number(body[begin:i])
	if fault != nil {
		return -1
	}
	if e.Value = v; i-begin <= MaxValueText {
		e.value = body[begin:i]
	}
	return i
}

// quickTags reads tags that are remembered, or plain.
func (d *Decoder) quickTags(body []byte, i int) int {
	if body[i] != '{' {
		return -1
	}
	end := bytes.IndexByte(body[i:], '}')
	if end < 0 {
		return -1
	}
	text := body[i : i+end+1]
	// What is remembered is a whole object, and no object begins with another.
	v, ok := d.tags[string(text)]
	if !ok {
		if v, ok = d.readTags(text, false); !ok {
			return -1
		}
	}
	if v.fault != nil {
		return -1
	}
	d.read.Tags, d.read.tags = v.tags, v.json
	return i + len(text)
}

// remember keeps the verdict on tags, and the form in which they stand in records.
func (d *Decoder) remember(object []byte, v tagsVerdict) tagsVerdict {
	key := string(object)
	if len(v.tags) > 0 {
		d.unquoted = v.tags.AppendJSON(d.unquoted[:0])
		if v.json = key; string(d.unquoted) != key {
			v.json = string(d.unquoted)
		}
	}
	d.tags[key] = v
	d.remembered += rememberedTags + int64(len(key)+32*len(v.tags))
	if v.json != key {
		d.remembered += int64(len(v.json))
	}
	return v
}

func quickKind(body []byte, i int) (metric.Kind, int) {
	end, plain := stringEnd(body, i)
	if !plain {
		return metric.Plain, -1
	}
	kind, ok := metric.ParseKind(body[i+1 : end-1])
	if !ok {
		return metric.Plain, -1
	}
	return kind, end
}

func quickBoolean(body []byte, i int) (bool, int) {
	switch {
	case bytes.HasPrefix(body[i:], []byte("true")):
		return true, i + len("true")
	case bytes.HasPrefix(body[i:], []byte("false")):
		return false, i + len("false")
	}
	return false, -1
}

// quickTime reads whole milliseconds, or RFC 3339 in UTC with a capital T and Z.
func quickTime(body []byte, i int) (int64, int) {
	if body[i] == '"' {
		end, plain := stringEnd(body, i)
		if !plain {
			return 0, -1
		}
		ms, ok := plainClock(body[i+1 : end-1])
		if !ok {
			return 0, -1
		}
		return ms, end
	}
	begin, ms := i, int64(0)
	for ; i < len(body) && isDigit(body[i]) && i-begin < 16; i++ {
		ms = ms*10 + int64(body[i]-'0')
	}
	if i == begin || body[begin] == '0' || i < len(body) && goesOn(body[i]) ||
		ms < metric.EarliestTime || ms >= metric.LatestTime {
		return 0, -1
	}
	return ms, i
}

// plainClock reads 2026-11-23T10:00:00.123Z, with or without decimals.
func plainClock(t []byte) (ms int64, ok bool) {
	const form = "2000-00-00T00:00:00"
	if len(t) < len(form)+1 || len(t) > maxTimeText || t[len(t)-1] != 'Z' {
		return 0, false
	}
	for i := range len(form) {
		if isDigit(form[i]) != isDigit(t[i]) || !isDigit(form[i]) && t[i] != form[i] {
			return 0, false
		}
	}
	two := func(i int) int { return int(t[i]-'0')*10 + int(t[i+1]-'0') }
	year, day := two(0)*100+two(2), two(8)
	at := time.Date(year, time.Month(two(5)), day, two(11), two(14), two(17), 0, time.UTC)
	// A day, hour, minute or second beyond its bounds would have been carried over.
	if year < 2000 || at.Month() != time.Month(two(5)) || at.Day() != day || two(11) > 23 || two(14) > 59 || two(17) > 59 {
		return 0, false
	}
	ms = at.UnixMilli()
	decimals := t[len(form) : len(t)-1]
	if len(decimals) == 0 {
		return ms, true
	}
	if decimals[0] != '.' || len(decimals) == 1 || len(decimals) > 10 {
		return 0, false
	}
	unit := int64(100)
	for _, c := range decimals[1:] {
		if !isDigit(c) {
			return 0, false
		}
		ms += int64(c-'0') * unit
		unit /= 10
	}
	return ms, true
}
