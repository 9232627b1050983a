package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pulseboard/metric"
)

// Batch holds the verdict on each of N events that came together.
type Batch struct {
	N      int
	Events []metric.Event // The good ones. Events may share their Tags: never change them.
	Index  []int          // Position in the input of each of Events; of a record there is none.
	Faults []IndexedFault // The bad ones.
	Cut    int            // How many of Events have tags that were cut to fit.
	// Unknown are the members that are none of an event's, in the order in which they came; of a record there are none.
	Unknown []UnknownMember
	// Said is what senders say of the metrics. Its texts may be parts of what was decoded.
	Said []Said

	texts []texts // Of the first of Events.
	written
}

// written is the text of a time, since events that come together mostly have the same.
type written struct {
	time int64
	text []byte
}

// Add adds a good event, for decoders of other formats than JSON. tags is the JSON of its tags, as AppendJSON has it, where that is
// known, else ""; value that of its value, of at most MaxValueText bytes, where it stands in what was decoded, else nil.
func (b *Batch) Add(e metric.Event, tags string, value []byte) {
	for len(b.texts) < len(b.Events) {
		b.texts = append(b.texts, texts{})
	}
	b.Events = append(b.Events, e)
	b.texts = append(b.texts, texts{value, tags})
	b.Index = append(b.Index, b.N)
	b.N++
}

// SetValue gives event i of Events another value, which was added.
func (b *Batch) SetValue(i int, v float64, text []byte) {
	b.Events[i].Value, b.texts[i].value = v, text
}

// Keep takes out all events but the first n, which were added.
func (b *Batch) Keep(n int) { b.Events, b.Index, b.texts = b.Events[:n], b.Index[:n], b.texts[:n] }

// Refuse adds the fault of an event.
func (b *Batch) Refuse(f metric.Fault) {
	b.Faults = append(b.Faults, IndexedFault{b.N, f})
	b.N++
}

// Clear takes everything out, and keeps the memory for what comes.
func (b *Batch) Clear() {
	clear(b.Said) // They keep bodies in memory.
	*b = Batch{Events: b.Events[:0], Index: b.Index[:0], Said: b.Said[:0], texts: b.texts[:0], written: b.written}
}

// IndexedFault is the fault of the event at position Index of the input.
type IndexedFault struct {
	Index int `json:"index"`
	metric.Fault
}

// ErrTooMany is returned when there are more events than allowed.
var ErrTooMany = errors.New("too many events")

var errMore = errors.New("more after the JSON value")

// Lines reads the NDJSON body of POST /ingest: one event a line, or several objects one after the other. A line that is
// not JSON is one fault, and no other line's; empty lines do not count; more than limit events are ErrTooMany. What it
// returns is valid as long as that of Request.
func (d *Decoder) Lines(body []byte, limit int) (*Batch, error) {
	d.begin(limit)
	d.again()
	for line := range bytes.SplitSeq(body, []byte{'\n'}) {
		if i := skipSpace(line, 0); i < len(line) {
			if err := d.line(line, i); err != nil {
				return nil, err
			}
		}
	}
	return d.batch, nil
}

// line reads a line whose first value is at i.
func (d *Decoder) line(line []byte, i int) error {
	b := d.batch
	events, texts, said, faults, n, cut := len(b.Events), len(b.texts), len(b.Said), len(b.Faults), b.N, b.Cut
	for first := i; ; {
		if b.N == d.limit {
			return ErrTooMany
		}
		end := d.one(line, i)
		if end >= 0 {
			if end = skipSpace(line, end); end == len(line) {
				return nil
			}
			if line[first] == '{' && line[end] == '{' {
				i = end
				continue
			}
		}
		// Nothing of a broken line counts: it stands for one event.
		why := "the line is not JSON: "
		_, err := d.check(line)
		if i > first {
			why = fmt.Sprintf("the line is not JSON behind its byte %d: ", i)
			_, err = d.check(line[i:])
		}
		b.Events, b.Index, b.texts, b.Said, b.Faults, b.N, b.Cut = b.Events[:events], b.Index[:events], b.texts[:texts], b.Said[:said], b.Faults[:faults], n, cut
		d.add(metric.Event{}, malformed(why+err.Error()))
		return nil
	}
}

// Decoder reads events in one pass over their JSON. It remembers the names and
// the tags that it has seen, since events have most of them in common: equal tags are the same slice for as long
// as they are known. The zero value is ready. It is not safe for concurrent use.
type Decoder struct {
	limit    int
	inRecord bool // Events have no metric_name of their own.
	indexed  bool // Their positions in the input are wanted,
	textual  bool // and their texts, which go into records as they are.
	batch    *Batch
	spare    *Batch         // That of the last Request or Lines, to be used again.
	record   Batch          // That of the last Record.
	free     []metric.Event // Memory for events of records, which share allocations.
	lastName string         // That quickName has read.

	// Cut has tags beyond the limits cut to fit, and counted, where they are refused else.
	Cut bool

	json *jsontext.Decoder // Checks syntax.

	names Memory[name]
	tags  Memory[tagsVerdict] // By their JSON text.

	// Scratch space.
	members  []tagMember
	unquoted []byte
}

// NewDecoder returns a decoder that remembers as much as there is room for.
func NewDecoder(r *Room) *Decoder {
	return &Decoder{names: Memory[name]{Room: r}, tags: Memory[tagsVerdict]{Room: r}}
}

// Remembered returns about how many bytes of memory d has taken for what it remembers.
func (d *Decoder) Remembered() int64 { return d.names.Bytes() + d.tags.Bytes() }

// Forget gives back what d remembers.
func (d *Decoder) Forget() {
	d.names.Forget()
	d.tags.Forget()
}

// fields are the members of an event as JSON text, nil where absent, and events, the list of several.
type fields struct {
	name, value, histogram, tags, time, kind, start, stale, point, events []byte
	unit, help                                                            []byte // Strings.

	likeName, likeValue string // Members of other names that stand for those of an event; "" = there is none.
}

func (f *fields) isList() bool { return f.events != nil && f.events[0] == '[' }

// Request reads the JSON body of POST /ingest: one event, an array of events, or
// {"events":[…]}. A syntax error anywhere is a *metric.Fault of the whole; more than limit
// events are ErrTooMany; all else is a fault of one event. What it returns is valid
// until the next call, and as long as body stays as it is.
func (d *Decoder) Request(body []byte, limit int) (*Batch, error) {
	d.begin(limit)
	d.again()
	ok, err := d.quickRequest(body)
	if ok || err != nil {
		return d.whole(err)
	}
	return d.strict(body, limit)
}

// Guess reads a body that nobody calls JSON or NDJSON: one value is JSON, several are NDJSON. It is as these otherwise.
func (d *Decoder) Guess(body []byte, limit int) (*Batch, error) {
	b, err := d.Request(body, limit)
	if err == nil || errors.Is(err, ErrTooMany) {
		return b, err
	}
	if _, end, broken := d.first(body); broken == nil && skipSpace(body, end) < len(body) {
		return d.Lines(body, limit)
	}
	return nil, err
}

// strict is Request without the quick reader.
func (d *Decoder) strict(body []byte, limit int) (*Batch, error) {
	d.begin(limit)
	value, err := d.check(body)
	if err != nil {
		return d.whole(err)
	}
	if value[0] == '[' {
		return d.whole(d.list(value))
	}
	if value[0] != '{' {
		d.add(d.element(&scanner[[]byte]{text: value}))
		return d.batch, nil
	}
	f := d.fields(&scanner[[]byte]{text: value})
	if f.isList() && f.name == nil {
		return d.whole(d.list(f.events))
	}
	d.add(d.lone(&f))
	return d.batch, nil
}

func (d *Decoder) whole(err error) (*Batch, error) {
	switch {
	case errors.Is(err, ErrTooMany):
		return nil, err
	case errors.Is(err, errMore):
		return nil, malformed(err.Error() + ": send several events as an array, or as NDJSON with the Content-Type application/x-ndjson")
	case err != nil:
		return nil, malformed(err.Error())
	}
	return d.batch, nil
}

// again lets the batch use the memory of the last one.
func (d *Decoder) again() {
	if b := d.spare; b != nil {
		b.Clear()
		d.batch = b
	}
	d.spare, d.textual = d.batch, true
}

func (d *Decoder) begin(limit int) {
	d.limit, d.inRecord, d.indexed, d.textual, d.batch = limit, false, true, false, new(Batch)
}

func (d *Decoder) reset(text []byte) {
	if d.json == nil {
		d.json = jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	} else {
		d.json.Reset(bytes.NewBuffer(text), d.json.Options())
	}
}

// first reads the JSON value that text begins with, and returns where it ends. Invalid
// UTF-8 is let through to become the fault of one event.
func (d *Decoder) first(text []byte) (value []byte, end int, err error) {
	d.reset(text)
	if value, err = d.json.ReadValue(); err != nil {
		// Its tokens have the error that names the place, and not what was expected there.
		d.reset(text)
		for err = nil; err == nil; {
			_, err = d.json.ReadToken()
		}
		return nil, 0, tidy(err)
	}
	end = int(d.json.InputOffset())
	return text[end-len(value) : end : end], end, nil
}

// check returns the JSON value that text is, without the white space around it.
func (d *Decoder) check(text []byte) ([]byte, error) {
	value, _, err := d.first(text)
	if err != nil {
		return nil, err
	}
	switch _, err := d.json.ReadToken(); {
	case err == nil:
		return nil, fmt.Errorf("%w, at byte %d", errMore, d.json.InputOffset())
	case errors.Is(err, io.EOF):
		return value, nil
	default:
		return nil, tidy(err)
	}
}

// tidy gives the errors of the JSON library a form for people.
func tidy(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON ends too early")
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("%w, at byte %d", s.Err, s.ByteOffset)
	}
	return err
}

// list reads a valid array of events into the batch.
func (d *Decoder) list(array []byte) error {
	s := scanner[[]byte]{text: array}
	s.take('[')
	for n := 0; s.more(n, ']'); n++ {
		if d.batch.N == d.limit {
			return ErrTooMany
		}
		d.add(d.element(&s))
	}
	return nil
}

// element reads a value that should be an event, of valid JSON.
func (d *Decoder) element(s *scanner[[]byte]) (metric.Event, *metric.Fault) {
	if s.peek() != '{' {
		s.value()
		return metric.Event{}, malformed("an event must be a JSON object")
	}
	f := d.fields(s)
	return d.lone(&f)
}

// lone turns fields into an event that holds no others.
func (d *Decoder) lone(f *fields) (metric.Event, *metric.Fault) {
	if f.events != nil {
		d.passOver([]byte("events"), f)
	}
	return d.event(f)
}

// fields reads the members of an object, of valid JSON; a value of another kind has none. Of equal members the last one counts.
func (d *Decoder) fields(s *scanner[[]byte]) (f fields) {
	s.take('{')
	for n := 0; s.more(n, '}'); n++ {
		name, plain := s.quoted()
		s.take(':')
		v := s.value()
		if v[0] == 'n' {
			v = nil // null is the same as absent.
		}
		if plain {
			name = name[1 : len(name)-1]
		} else {
			name, _ = d.unquote(name) // What is not Unicode is no member's name either.
		}
		switch string(name) {
		case "metric_name":
			f.name = v
		case "value":
			f.value = v
		case "histogram":
			f.histogram = v
		case "tags":
			f.tags = v
		case "event_time":
			f.time = v
		case "kind":
			f.kind = v
		case "start":
			f.start = v
		case "stale":
			f.stale = v
		case "point":
			f.point = v
		case "events":
			f.events = v
		case "unit", "help":
			if !f.says(string(name) == "unit", v) {
				d.passOver(name, &f)
			}
		default:
			d.passOver(name, &f)
		}
	}
	return f
}

func (d *Decoder) add(e metric.Event, f *metric.Fault) {
	if f == nil {
		d.batch.Events = append(d.batch.Events, e)
		if d.indexed {
			d.batch.Index = append(d.batch.Index, d.batch.N)
		}
	} else {
		d.batch.Faults = append(d.batch.Faults, IndexedFault{d.batch.N, *f})
	}
	d.batch.N++
}

// event turns fields into an event, or says the first fault in the order of
// docs/protocol.md, "POST /ingest".
func (d *Decoder) event(f *fields) (e metric.Event, fault *metric.Fault) {
	tags := d.tagsOf(f.tags)
	if fault = f.types(); fault != nil {
		return e, fault
	}
	if tags.fault != nil && tags.fault.Code == metric.CodeMalformed {
		return e, tags.fault
	}
	if !d.inRecord {
		if e.Metric, fault = d.name(f.name); fault != nil {
			if f.name == nil && f.likeName != "" {
				fault.Detail += fmt.Sprintf("; you sent `%s`: did you mean `metric_name`?", f.likeName)
			}
			return e, fault
		}
	}
	if fault = measured(&e, f); fault != nil {
		return e, fault
	}
	if tags.fault != nil {
		return e, tags.fault
	}
	e.Tags = tags.tags
	if tags.cut {
		d.batch.Cut++
	}
	if f.time != nil {
		if e.Time, e.Nanos, fault = d.time("event_time", f.time, metric.CodeEventTimeInvalid); fault != nil {
			return e, fault
		}
	}
	if f.kind == nil && f.start == nil && f.point == nil {
		e.Nanos = 0
	} else if fault = d.marks(&e, f); fault != nil {
		return e, fault
	}
	if !d.inRecord { // Of a record's events the record says it.
		d.say(e.Metric, f)
	}
	return e, nil
}

// measured reads what an event has measured: a value, a histogram, or nothing any more.
func measured(e *metric.Event, f *fields) (fault *metric.Fault) {
	e.Stale = isTrue(f.stale)
	switch {
	case e.Stale && (f.value != nil || f.histogram != nil):
		return newFault(metric.CodeStaleInvalid, "stale ends a series, and the event has a value as well: leave out one of both")
	case e.Stale:
	case f.histogram == nil:
		if e.Value, fault = number(f.value); f.value == nil && f.likeValue != "" {
			fault.Detail += fmt.Sprintf("; you sent `%s`: did you mean `value`?", f.likeValue)
		}
	case f.value != nil:
		return newFault(metric.CodeHistogramInvalid, "the event has a value beside its histogram: leave out one of both")
	default:
		e.Histogram, fault = histogram(f.histogram)
	}
	return fault
}

// types says which member has a JSON type that it cannot have.
func (f *fields) types() *metric.Fault {
	switch {
	case f.name != nil && f.name[0] != '"':
		return malformed("metric_name must be a string")
	case f.value != nil && !isNumber(f.value):
		return malformed("value must be a number" + quotesHint(f.value))
	case f.histogram != nil && f.histogram[0] != '{':
		return malformed("histogram must be an object")
	case f.tags != nil && f.tags[0] != '{':
		return malformed("tags must be an object")
	case f.time != nil && f.time[0] != '"' && !isNumber(f.time):
		return malformed("event_time must be a string or a number")
	case f.start != nil && f.start[0] != '"' && !isNumber(f.start):
		return malformed("start must be a string or a number")
	case f.stale != nil && !isBoolean(f.stale):
		return malformed("stale must be true or false")
	case f.point != nil && !isBoolean(f.point) && !isNumber(f.point):
		return malformed("point must be true, false or a number of nanoseconds")
	}
	return nil
}

// marks reads what an event says of its kind.
func (d *Decoder) marks(e *metric.Event, f *fields) (fault *metric.Fault) {
	if f.kind != nil {
		var ok bool
		if e.Kind, ok = d.kind(f.kind); !ok {
			return newFault(metric.CodeKindInvalid, fmt.Sprintf("kind %.40s is none of event, delta, cumulative and gauge", f.kind))
		}
	}
	if f.start != nil {
		if e.Start, _, fault = d.time("start", f.start, metric.CodeStartInvalid); fault != nil {
			return fault
		}
	}
	switch {
	case f.point == nil || !isNumber(f.point):
		e.Point = isTrue(f.point)
	default:
		if e.Nanos, e.Point = nanosOf(f.point); !e.Point {
			return newFault(metric.CodePointInvalid, fmt.Sprintf("the point is said to be %.40s ns after the millisecond of event_time: that must be a whole number from 0 to 999999", f.point))
		}
	}
	if !e.Point {
		e.Nanos = 0
	}
	return e.Check()
}

func (d *Decoder) kind(json []byte) (metric.Kind, bool) {
	if json[0] != '"' {
		return metric.Plain, false
	}
	text, err := d.unquote(json)
	if err != nil {
		return metric.Plain, false
	}
	return metric.ParseKind(text)
}

func (d *Decoder) name(quoted []byte) (string, *metric.Fault) {
	if quoted == nil {
		return "", newFault(metric.CodeNameMissing, "metric_name is missing")
	}
	text, err := d.unquote(quoted)
	switch {
	case len(text) == 0:
		return "", newFault(metric.CodeNameMissing, "metric_name is empty")
	case err != nil:
		return "", newFault(metric.CodeNameInvalid, "metric_name is not valid UTF-8")
	case !metric.ValidName(text):
		return "", newFault(metric.CodeNameInvalid, metric.ValidateName(string(text)).Error())
	}
	return d.nameOf(text), nil
}

// unquote returns the text of a JSON string, valid until the next call.
// It fails on what is not Unicode, which the text then has U+FFFD for.
func (d *Decoder) unquote(quoted []byte) ([]byte, error) {
	var err error
	d.unquoted, err = jsontext.AppendUnquote(d.unquoted[:0], quoted)
	return d.unquoted, err
}

// nameOf returns a valid name as a string that equal ones share.
func (d *Decoder) nameOf(text []byte) string {
	if e := d.names.Find(text); e != nil {
		return e.Text
	}
	return d.names.Add(string(text), name{}).Text
}

// name is what is remembered of a metric_name besides its text.
type name struct{}

// Bytes implements Sized.
func (name) Bytes() int { return 0 }

// tagsVerdict is what the JSON text of tags stands for.
type tagsVerdict struct {
	tags  metric.Tags
	json  string // Their canonical form, as in records; "" = the text is it, or there are none.
	fault *metric.Fault
	cut   bool // They did not fit.
}

// Bytes implements Sized.
func (v tagsVerdict) Bytes() int {
	const tag, fault = 32, 100
	n := tag*len(v.tags) + 2*len(v.json) // Where it differs from the text, keys and values may not be parts of that.
	if v.fault != nil {
		n += fault + len(v.fault.Detail)
	}
	return n
}

type tagMember struct{ key, value string } // The value is JSON text.

func (d *Decoder) tagsOf(object []byte) tagsVerdict {
	if object == nil || object[0] != '{' { // The latter is malformed, as types says.
		return tagsVerdict{}
	}
	if e := d.tags.Find(object); e != nil {
		return e.Value
	}
	return d.readTags(object, true).Value
}

// readTags reads and remembers an object. Of one that is not known to be valid JSON it reads plain strings
// only, and returns nil when there is anything else.
func (d *Decoder) readTags(object []byte, valid bool) *Known[tagsVerdict] {
	d.members = d.members[:0]
	text, plain := string(object), true // Keys and values are parts of it, where they have no escapes.
	s := scanner[string]{text: text}
	s.take('{')
	for n := 0; s.more(n, '}'); n++ {
		quoted, plainKey := s.quoted()
		s.take(':')
		value := s.value()
		if _, plainValue := stringEnd(value, 0); !plainKey || !plainValue {
			plain = false
		}
		if !valid && !plain {
			return nil
		}
		key, err := d.unquoteText(quoted)
		if err != nil {
			key = "\xff" // Not UTF-8 either: no tag may have this key.
		}
		d.members = append(d.members, tagMember{key, value})
	}
	if s.err != nil || s.i != len(text) {
		return nil
	}
	var v tagsVerdict
	sorted := slices.IsSortedFunc(d.members, compareKeys)
	if v.tags, v.cut, v.fault = d.judgeTags(); len(v.tags) > 0 && (!plain || !sorted || jsonBytes(v.tags) != len(text)) {
		d.unquoted = v.tags.AppendJSON(d.unquoted[:0])
		if string(d.unquoted) != text {
			v.json = string(d.unquoted)
		}
	}
	return d.tags.Add(text, v)
}

// jsonBytes is how long the canonical JSON of tags is that have no escapes there.
func jsonBytes(t metric.Tags) int {
	n := len("{}") - len(",")
	for i := range t {
		n += len(`"":"",`) + len(t[i].Key) + len(t[i].Value)
	}
	return n
}

func compareKeys(a, b tagMember) int { return strings.Compare(a.key, b.key) }

// unquoteText returns the text of a JSON string, a part of it where it is plain. It fails as unquote does.
func (d *Decoder) unquoteText(quoted string) (string, error) {
	if end, plain := stringEnd(quoted, 0); plain && end == len(quoted) {
		return quoted[1 : end-1], nil
	}
	text, err := d.unquote([]byte(quoted))
	return string(text), err
}

func (d *Decoder) judgeTags() (tags metric.Tags, cut bool, fault *metric.Fault) {
	slices.SortStableFunc(d.members, compareKeys)
	tags = make(metric.Tags, 0, len(d.members))
	for i, m := range d.members {
		if i+1 < len(d.members) && d.members[i+1].key == m.key {
			continue // Of equal members the last one counts.
		}
		text, err := m.value, error(nil) // That of true and false.
		switch m.value[0] {
		case '"':
			text, err = d.unquoteText(m.value)
		case 'n':
			continue // null is the same as absent.
		case 't', 'f':
		case '[', '{':
			return nil, false, malformed(fmt.Sprintf("the value of tag %.80q must be a string, a number, true or false", m.key))
		default:
			if text = numberText(m.value); text == "" && fault == nil {
				fault = newFault(metric.CodeTagsInvalid, fmt.Sprintf("the value %.40s of tag %.80q is beyond the numbers that 64 bits hold: make it a string", m.value, m.key))
			}
		}
		switch {
		case len(text) == 0 || fault != nil:
			// Only a member of the wrong type comes before another fault.
		case err != nil:
			fault = newFault(metric.CodeTagsInvalid, fmt.Sprintf("the value of tag %.80q is not valid UTF-8", m.key))
		default:
			tags = append(tags, metric.Tag{Key: m.key, Value: text})
		}
	}
	if fault != nil || len(tags) == 0 {
		return nil, false, fault
	}
	if d.Cut {
		tags, cut = tags.Fit()
	}
	return tags, cut, metric.CheckTags(tags)
}

func malformed(detail string) *metric.Fault { return newFault(metric.CodeMalformed, detail) }

func newFault(code, detail string) *metric.Fault { return &metric.Fault{Code: code, Detail: detail} }
