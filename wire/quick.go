package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// The quick reader takes events in the form in which nearly all come: known
// members once each, strings without escapes, nothing that is null, no fault.
// It has no verdicts and no errors: where anything is otherwise it stops, and
// the strict decoder reads that event, or, after an error of syntax, the whole. So the
// strict decoder alone decides what is right (FuzzQuickIsStrict compares them).

// texts are the parts of an event's JSON that go into a record as they are.
type texts struct {
	value []byte // Of the body; nil where it is too long for RecordEventBytes.
	tags  string // In the canonical form, remembered with the tags; "" = no tags.
}

// MaxValueText is the longest text of a value in a record, as AppendFloat makes it.
const MaxValueText = 24

// AppendEvent appends event i of Events as AppendRecordEvent does, sooner. The
// body that was decoded must still be as it was.
func (b *Batch) AppendEvent(dst []byte, i int) []byte {
	e := &b.Events[i]
	if i >= len(b.texts) {
		return AppendRecordEvent(dst, e)
	}
	t := &b.texts[i]
	if t.value == nil {
		dst = appendMeasured(dst, e)
	} else {
		dst = append(append(dst, `{"value":`...), t.value...)
	}
	if t.value == nil && t.tags == "" {
		dst = appendTags(dst, e)
	} else if t.tags != "" {
		dst = append(append(dst, `,"tags":`...), t.tags...)
	}
	if e.Time != b.time {
		b.time, b.text = e.Time, strconv.AppendInt(b.text[:0], e.Time, 10)
	}
	return appendRest(dst, e, b.text)
}

// PlainNumber reads a text that is a JSON number of at most 15 digits without an exponent; ok is false for any other.
func PlainNumber(text []byte) (v float64, ok bool) {
	if len(text) > len("-0.")+15 {
		return 0, false
	}
	var t texts
	v, end := quickValue(text, 0, &t)
	return v, end == len(text)
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
		return end
	}
	value, end, err := d.first(body[i:])
	if err != nil {
		return -1
	}
	d.add(d.element(&scanner[[]byte]{text: value}))
	return i + end
}

// quickEvent reads the event at i into the batch and returns where it ends, -1 when
// it is not in the plain form; then the batch is as before.
func (d *Decoder) quickEvent(body []byte, i int) int {
	b := d.batch
	n, cut := len(b.Events), b.Cut
	b.Events = append(b.Events, metric.Event{})
	t := texts{}
	if i = d.quickMembers(body, i, &b.Events[n], &t); i < 0 {
		b.Events, b.Cut = b.Events[:n], cut
		return -1
	}
	if d.textual {
		for len(b.texts) < n {
			b.texts = append(b.texts, texts{}) // Of events that the strict reader has read.
		}
		b.texts = append(b.texts, t)
	}
	if d.indexed {
		b.Index = append(b.Index, b.N)
	}
	b.N++
	return i
}

func (d *Decoder) quickMembers(body []byte, i int, e *metric.Event, t *texts) int {
	if i >= len(body) || body[i] != '{' {
		return -1
	}
	var has eventMembers
	if d.inRecord {
		has, i = d.written(body, i, e, t)
	}
	for body[i] != '}' {
		m, at := quickMember(body, skipSpace(body, i+1))
		if at < 0 || at == len(body) || has&m != 0 {
			return -1
		}
		has |= m
		if i = d.quickPart(m, body, at, e, t); i < 0 {
			return -1
		}
		if i = skipSpace(body, i); i == len(body) || body[i] != ',' && body[i] != '}' {
			return -1
		}
	}
	if !has.oneOf(e.Stale) || (has&hasName == 0) != d.inRecord || has&marks != 0 && e.Check() != nil {
		return -1
	}
	if !e.Point {
		e.Nanos = 0
	}
	return i + 1
}

// written reads an event as far as it is one that AppendRecordEvent has written and nothing is marked: nearly all of records
// are. It returns what it has read, and the place of the brace or comma that comes next.
func (d *Decoder) written(body []byte, i int, e *metric.Event, t *texts) (has eventMembers, next int) {
	const value, tags, time = `{"value":`, `,"tags":`, `,"event_time":`
	if !bytes.HasPrefix(body[i:], []byte(value)) {
		return 0, i
	}
	v, end := quickValue(body, i+len(value), t)
	if !memberEnds(body, end) {
		return 0, i
	}
	e.Value, has, i = v, hasValue, end
	if bytes.HasPrefix(body[i:], []byte(tags)) {
		if end = d.quickTags(body, i+len(tags), e, t); !memberEnds(body, end) {
			return has, i
		}
		has, i = has|hasTags, end
	}
	if bytes.HasPrefix(body[i:], []byte(time)) {
		ms, nanos, end := quickTime(body, i+len(time))
		if !memberEnds(body, end) {
			return has, i
		}
		e.Time, e.Nanos, has, i = ms, nanos, has|hasTime, end
	}
	return has, i
}

// memberEnds reports whether the value of a member ends at i.
func memberEnds(body []byte, i int) bool {
	return i >= 0 && i < len(body) && (body[i] == ',' || body[i] == '}')
}

// quickPart reads the value of a member and returns where it ends.
func (d *Decoder) quickPart(m eventMembers, body []byte, i int, e *metric.Event, t *texts) int {
	switch m {
	case hasValue:
		e.Value, i = quickValue(body, i, t)
	case hasTags:
		i = d.quickTags(body, i, e, t)
	case hasTime:
		i = quickEventTime(body, i, e)
	case hasName:
		e.Metric, i = d.quickName(body, i)
	case hasKind:
		e.Kind, i = quickKind(body, i)
	case hasStart:
		e.Start, _, i = quickTime(body, i)
	case hasStale:
		e.Stale, i = quickBoolean(body, i)
	case hasPoint:
		i = quickPoint(body, i, e)
	case hasHistogram:
		e.Histogram, i = d.quickHistogram(body, i)
	}
	return i
}

// eventMembers are those of an event that were read.
type eventMembers uint16

const (
	hasName eventMembers = 1 << iota
	hasValue
	hasTags
	hasTime
	hasKind
	hasStart
	hasStale
	hasPoint
	hasHistogram

	marks = hasKind | hasStart | hasPoint
)

// oneOf reports whether an event has a value or a histogram, or is stale, and not two of them.
func (m eventMembers) oneOf(stale bool) bool {
	switch m & (hasValue | hasHistogram) {
	case 0:
		return stale
	case hasValue, hasHistogram:
		return !stale
	}
	return false
}

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
	case bytes.HasPrefix(rest, []byte(`"histogram"`)):
		return hasHistogram, colon(body, i+len(`"histogram"`))
	}
	return 0, -1
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
	if end < 0 {
		return "", -1
	}
	text := body[i+1 : end-1]
	if !plain && bytes.IndexByte(text, '\\') >= 0 {
		return "", -1 // It stands for another text.
	}
	if string(text) == d.lastName && end > i+2 {
		return d.lastName, end
	}
	known := d.names.Find(text)
	if known == nil {
		if !plain || !metric.ValidName(text) {
			return "", -1
		}
		known = d.names.Add(string(text), name{})
	}
	d.lastName = known.Text
	return d.lastName, end
}

// Powers of ten that are floating-point numbers without an error.
func power(n int) float64 {
	return [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}[n]
}

// quickValue reads a number of at most 15 digits without an exponent: it and the
// power of ten that divides it are exact, so one division rounds as IEEE 754 asks.
func quickValue(body []byte, i int, t *texts) (float64, int) {
	if i == len(body) {
		return 0, -1
	}
	begin, mantissa, digits, decimals := i, int64(0), 0, 0
	negative := body[i] == '-'
	if negative {
		i++
	}
	first := i
	for ; i < len(body) && isDigit(body[i]); i++ {
		mantissa = mantissa*10 + int64(body[i]-'0')
		if digits++; digits > 15 {
			return slowValue(body, begin, t)
		}
	}
	if digits == 0 || digits > 1 && body[first] == '0' {
		return 0, -1
	}
	if i < len(body) && body[i] == '.' {
		for i++; i < len(body) && isDigit(body[i]); i++ {
			mantissa = mantissa*10 + int64(body[i]-'0')
			decimals++
			if digits++; digits > 15 {
				return slowValue(body, begin, t)
			}
		}
		if decimals == 0 {
			return 0, -1
		}
	}
	if i < len(body) && (body[i] == 'e' || body[i] == 'E') {
		return slowValue(body, begin, t)
	}
	t.value = body[begin:i]
	v := float64(mantissa)
	if decimals > 0 {
		v /= power(decimals)
	}
	if negative {
		v = math.Copysign(v, -1) // Of -0 too.
	}
	return v, i
}

// slowValue reads any number.
func slowValue(body []byte, i int, t *texts) (float64, int) {
	begin := i
	i = numberEnd(body, i)
	if i < 0 {
		return 0, -1
	}
	v, fault := number(body[begin:i])
	if fault != nil {
		return 0, -1
	}
	if i-begin <= MaxValueText {
		t.value = body[begin:i]
	}
	return v, i
}

// quickTags reads tags that are remembered, or plain.
func (d *Decoder) quickTags(body []byte, i int, e *metric.Event, t *texts) int {
	// What is remembered is a whole object, and no object begins with another.
	known := d.tags.Next(body[i:])
	if known == nil {
		if i == len(body) || body[i] != '{' {
			return -1
		}
		end := bytes.IndexByte(body[i:], '}')
		if end < 0 {
			return -1
		}
		text := body[i : i+end+1]
		if known = d.tags.Find(text); known == nil {
			known = d.readTags(text, false)
		}
	}
	if known == nil || known.Value.fault != nil {
		return -1
	}
	e.Tags = known.Value.tags
	if known.Value.cut {
		d.batch.Cut++
	}
	if t.tags = known.Value.json; t.tags == "" && len(e.Tags) > 0 {
		t.tags = known.Text
	}
	return i + len(known.Text)
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

// quickHistogram reads a histogram whose JSON it has checked.
func (d *Decoder) quickHistogram(body []byte, i int) (*aggregate.Histogram, int) {
	value, end, err := d.first(body[i:])
	if err != nil || value[0] != '{' {
		return nil, -1
	}
	h, fault := histogram(value)
	if fault != nil {
		return nil, -1
	}
	return h, i + end
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

// quickEventTime reads event_time. Where point has said nanoseconds before, it has none of its own.
func quickEventTime(body []byte, i int, e *metric.Event) int {
	ms, nanos, end := quickTime(body, i)
	if nanos != 0 && e.Nanos != 0 {
		return -1
	}
	e.Time, e.Nanos = ms, e.Nanos+nanos
	return end
}

// quickPoint reads point: a boolean, or nanoseconds besides an event_time that has none.
func quickPoint(body []byte, i int, e *metric.Event) int {
	if i == len(body) || !isDigit(body[i]) {
		e.Point, i = quickBoolean(body, i)
		return i
	}
	end := i
	for end < len(body) && isDigit(body[end]) {
		end++
	}
	nanos, ok := nanosOf(body[i:end])
	if !ok || nanos == 0 || e.Nanos != 0 || end < len(body) && goesOn(body[end]) {
		return -1
	}
	e.Nanos, e.Point = nanos, true
	return end
}

// nanosOf reads the nanoseconds of a point, which are less than a million.
func nanosOf(text []byte) (nanos int32, ok bool) {
	if len(text) == 0 || len(text) > len("999999") || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	for _, c := range text {
		if !isDigit(c) {
			return 0, false
		}
		nanos = nanos*10 + int32(c-'0')
	}
	return nanos, true
}

// quickTime reads whole milliseconds, or RFC 3339 in UTC with a capital T and Z.
func quickTime(body []byte, i int) (ms int64, nanos int32, end int) {
	if i == len(body) {
		return 0, 0, -1
	}
	if body[i] == '"' {
		end, plain := stringEnd(body, i)
		if !plain {
			return 0, 0, -1
		}
		ms, nanos, ok := plainClock(body[i+1 : end-1])
		if !ok {
			return 0, 0, -1
		}
		return ms, nanos, end
	}
	begin := i
	if len(body)-i >= 8 {
		if v, ok := eightDigits(binary.LittleEndian.Uint64(body[i:])); ok {
			i, ms = i+8, v
		}
	}
	for ; i < len(body) && isDigit(body[i]) && i-begin < 16; i++ {
		ms = ms*10 + int64(body[i]-'0')
	}
	if i == begin || body[begin] == '0' || i < len(body) && goesOn(body[i]) ||
		ms < metric.EarliestTime || ms >= metric.LatestTime {
		return 0, 0, -1
	}
	return ms, 0, i
}

// eightDigits reads eight digits at once, of which the first is the lowest byte; ok when there is nothing else.
func eightDigits(text uint64) (v int64, ok bool) {
	const zeros, sixes, halves = 0x3030303030303030, 0x0606060606060606, 0xf0f0f0f0f0f0f0f0
	if text&halves != zeros || (text+sixes)&halves != zeros {
		return 0, false
	}
	text -= zeros
	text = text*10 + text>>8 // Every other byte is a number of two digits.
	const odd = 0xff000000ff
	text = text&odd*(1_000_000<<32+100) + text>>16&odd*(10_000<<32+1)
	return int64(text >> 32), true
}

// plainClock reads 2026-11-23T10:00:00.123Z, with or without decimals.
func plainClock(t []byte) (ms int64, nanos int32, ok bool) {
	const form = "2000-00-00T00:00:00"
	if len(t) < len(form)+1 || len(t) > maxTimeText || t[len(t)-1] != 'Z' {
		return 0, 0, false
	}
	for i := range len(form) {
		if isDigit(form[i]) != isDigit(t[i]) || !isDigit(form[i]) && t[i] != form[i] {
			return 0, 0, false
		}
	}
	two := func(i int) int { return int(t[i]-'0')*10 + int(t[i+1]-'0') }
	year, day := two(0)*100+two(2), two(8)
	at := time.Date(year, time.Month(two(5)), day, two(11), two(14), two(17), 0, time.UTC)
	// A day, hour, minute or second beyond its bounds would have been carried over.
	if year < 2000 || at.Month() != time.Month(two(5)) || at.Day() != day || two(11) > 23 || two(14) > 59 || two(17) > 59 {
		return 0, 0, false
	}
	ms = at.UnixMilli()
	decimals := t[len(form) : len(t)-1]
	if len(decimals) == 0 {
		return ms, 0, true
	}
	if decimals[0] != '.' || len(decimals) == 1 || len(decimals) > 10 {
		return 0, 0, false
	}
	unit := int32(100_000_000)
	for _, c := range decimals[1:] {
		if !isDigit(c) {
			return 0, 0, false
		}
		nanos += int32(c-'0') * unit
		unit /= 10
	}
	const milli = 1_000_000
	return ms + int64(nanos/milli), nanos % milli, true
}
