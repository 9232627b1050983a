package wire

import (
	"bytes"
	"cmp"
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
	Index  []int          // Position in the input of each of Events.
	Faults []IndexedFault // The bad ones.

	texts []texts // Of the first of Events.
}

// IndexedFault is the fault of the event at position Index of the input.
type IndexedFault struct {
	Index int
	metric.Fault
}

// ErrTooMany is returned when there are more events than allowed.
var ErrTooMany = errors.New("too many events")

// Lines reads the NDJSON body of POST /ingest, one event a line. A line that is not
// JSON is a fault of that event alone; empty lines do not count; more than limit
// events are ErrTooMany. What it returns is valid as long as that of Request.
func (d *Decoder) Lines(body []byte, limit int) (*Batch, error) {
	d.begin(limit)
	d.again()
	for line := range bytes.SplitSeq(body, []byte{'\n'}) {
		if len(bytes.TrimLeft(line, " \t\r")) == 0 {
			continue
		}
		if d.batch.N == d.limit {
			return nil, ErrTooMany
		}
		if i := d.quickEvent(line, skipSpace(line, 0)); i >= 0 && skipSpace(line, i) == len(line) {
			d.take()
			continue
		}
		d.reset(line)
		if e, f, err := d.line(); err != nil {
			d.add(metric.Event{}, malformed("the line is not JSON: "+err.Error()))
		} else {
			d.add(e, f)
		}
	}
	return d.batch, nil
}

// Decoder reads events in one pass over their JSON. It keeps the strings and
// the tags that it has seen, since events have most of them in common. The
// zero value is ready. It is not safe for concurrent use.
type Decoder struct {
	// MaxRemembered is how many bytes may be taken by what is remembered from one call to the next; 0 = 4 MiB.
	MaxRemembered int64

	limit     int
	inRecord  bool // Events have no metric_name of their own.
	keepTexts bool
	batch     *Batch
	spare     *Batch // That of the last Request or Lines, to be used again.
	read      event  // What quickEvent has read.
	lastName  string // That it has read.

	input []byte
	json  *jsontext.Decoder

	remembered int64 // Bytes of what follows.

	texts map[string]string
	tags  map[string]tagsVerdict // By their JSON text.

	// Scratch space.
	tagsJSON *jsontext.Decoder
	members  []tagMember
	unquoted []byte
}

// How many strings, and tags, a Decoder remembers from one call to the next.
const maxRemembered = 10_000

// maxRememberedBytes is what they may take, so many of usual length: values of
// tags may be long, and none come again.
const maxRememberedBytes = 4 << 20

// What an entry of either takes besides its texts.
const (
	rememberedText = 56
	rememberedTags = 120
)

// Remembered returns about how many bytes of memory d has taken for what it remembers.
func (d *Decoder) Remembered() int64 { return d.remembered }

// fields are the members of an event as JSON text, nil where absent.
type fields struct{ name, value, tags, time []byte }

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

// strict is Request in one pass of the strict decoder.
func (d *Decoder) strict(body []byte, limit int) (*Batch, error) {
	d.begin(limit)
	d.reset(body)
	return d.whole(d.request())
}

func (d *Decoder) whole(err error) (*Batch, error) {
	switch {
	case errors.Is(err, ErrTooMany):
		return nil, err
	case err != nil:
		return nil, malformed(err.Error())
	}
	return d.batch, nil
}

// again lets the batch use the memory of the last one.
func (d *Decoder) again() {
	if b := d.spare; b != nil {
		*b = Batch{Events: b.Events[:0], Index: b.Index[:0], texts: b.texts[:0]}
		d.batch = b
	}
	d.spare, d.keepTexts = d.batch, true
}

func (d *Decoder) begin(limit int) {
	d.limit, d.inRecord, d.keepTexts, d.batch = limit, false, false, new(Batch)
	if d.texts == nil || len(d.texts) > maxRemembered || len(d.tags) > maxRemembered || d.remembered > cmp.Or(d.MaxRemembered, maxRememberedBytes) {
		d.texts, d.tags, d.remembered = make(map[string]string), make(map[string]tagsVerdict), 0
	}
}

// reader returns a decoder of input that reuses old. It reads a bytes.Buffer
// in place. Invalid UTF-8 is let through to become the fault of one event.
func reader(old *jsontext.Decoder, input []byte) *jsontext.Decoder {
	if old == nil {
		return jsontext.NewDecoder(bytes.NewBuffer(input), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	}
	old.Reset(bytes.NewBuffer(input), old.Options())
	return old
}

func (d *Decoder) reset(input []byte) {
	d.input = input
	d.json = reader(d.json, input)
}

// next reads a whole value. Its text stays valid, unlike that of the JSON decoder.
func (d *Decoder) next() ([]byte, error) {
	v, err := d.json.ReadValue()
	end := int(d.json.InputOffset())
	if err != nil {
		return nil, tidy(err)
	}
	return d.input[end-len(v) : end : end], nil
}

// token reads a bracket or brace.
func (d *Decoder) token() error {
	_, err := d.json.ReadToken()
	return tidy(err)
}

// end checks that nothing but white space is left.
func (d *Decoder) end() error {
	_, err := d.json.ReadToken()
	switch {
	case err == nil:
		return fmt.Errorf("more after the JSON value, at byte %d", d.json.InputOffset())
	case errors.Is(err, io.EOF):
		return nil
	}
	return tidy(err)
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

func (d *Decoder) request() error {
	var f fields
	switch d.json.PeekKind() {
	case '[':
		if err := d.list(); err != nil {
			return err
		}
	case '{':
		isList, err := d.object(&f)
		if err != nil {
			return err
		}
		if !isList || f.name != nil {
			d.batch = new(Batch)
			d.add(d.event(&f))
		}
	default:
		if _, err := d.next(); err != nil {
			return err
		}
		d.add(metric.Event{}, malformed("an event must be a JSON object"))
	}
	return d.end()
}

func (d *Decoder) line() (e metric.Event, fault *metric.Fault, err error) {
	e, fault, err = d.element()
	if err == nil {
		err = d.end()
	}
	return e, fault, err
}

// list reads an array of events into the batch.
func (d *Decoder) list() error {
	if err := d.token(); err != nil {
		return err
	}
	for d.json.PeekKind() != ']' {
		if d.batch.N == d.limit {
			return ErrTooMany
		}
		e, f, err := d.element()
		if err != nil {
			return err
		}
		d.add(e, f)
	}
	return d.token()
}

// element reads one event; err is a syntax error.
func (d *Decoder) element() (e metric.Event, fault *metric.Fault, err error) {
	if d.json.PeekKind() != '{' {
		if _, err := d.next(); err != nil {
			return e, nil, err
		}
		return e, malformed("an event must be a JSON object"), nil
	}
	if err := d.token(); err != nil {
		return e, nil, err
	}
	var f fields
	for d.json.PeekKind() != '}' {
		name, err := d.next()
		if err != nil {
			return e, nil, err
		}
		v, err := d.next()
		if err != nil {
			return e, nil, err
		}
		f.set(d.member(name), v)
	}
	if err := d.token(); err != nil {
		return e, nil, err
	}
	e, fault = d.event(&f)
	return e, fault, nil
}

// object reads an object that may be an event or hold a list of events, which
// go into the batch. Of equal members the last one counts.
func (d *Decoder) object(f *fields) (isList bool, err error) {
	if err := d.token(); err != nil {
		return false, err
	}
	for d.json.PeekKind() != '}' {
		name, err := d.next()
		if err != nil {
			return false, err
		}
		m := d.member(name)
		if m == memberEvents {
			d.batch = new(Batch)
			if isList = d.json.PeekKind() == '['; isList {
				if err := d.list(); err != nil {
					return false, err
				}
				continue
			}
		}
		v, err := d.next()
		if err != nil {
			return false, err
		}
		f.set(m, v)
	}
	return isList, d.token()
}

func (d *Decoder) add(e metric.Event, f *metric.Fault) {
	if f == nil {
		d.batch.Events = append(d.batch.Events, e)
		d.batch.Index = append(d.batch.Index, d.batch.N)
	} else {
		d.batch.Faults = append(d.batch.Faults, IndexedFault{d.batch.N, *f})
	}
	d.batch.N++
}

type member int

const (
	memberUnknown member = iota
	memberName
	memberValue
	memberTags
	memberTime
	memberEvents
)

// member tells which field a quoted name means.
func (d *Decoder) member(quoted []byte) member {
	text, err := d.unquote(quoted)
	if err != nil {
		return memberUnknown
	}
	switch string(text) {
	case "metric_name":
		return memberName
	case "value":
		return memberValue
	case "tags":
		return memberTags
	case "event_time":
		return memberTime
	case "events":
		return memberEvents
	}
	return memberUnknown
}

func (f *fields) set(m member, v []byte) {
	if v[0] == 'n' {
		v = nil // null is the same as absent.
	}
	switch m {
	case memberName:
		f.name = v
	case memberValue:
		f.value = v
	case memberTags:
		f.tags = v
	case memberTime:
		f.time = v
	}
}

// event turns fields into an event, or says the first fault in the order of
// protocol.md, "POST /ingest".
func (d *Decoder) event(f *fields) (e metric.Event, fault *metric.Fault) {
	tags := d.tagsOf(f.tags)
	switch {
	case f.name != nil && f.name[0] != '"':
		return e, malformed("metric_name must be a string")
	case f.value != nil && !isNumber(f.value):
		return e, malformed("value must be a number")
	case tags.fault != nil && tags.fault.Code == metric.CodeMalformed:
		return e, tags.fault
	case f.time != nil && f.time[0] != '"' && !isNumber(f.time):
		return e, malformed("event_time must be a string or a number")
	}
	if !d.inRecord {
		if e.Metric, fault = d.name(f.name); fault != nil {
			return e, fault
		}
	}
	if e.Value, fault = number(f.value); fault != nil {
		return e, fault
	}
	if tags.fault != nil {
		return e, tags.fault
	}
	e.Tags = tags.tags
	if f.time != nil {
		e.Time, fault = d.time(f.time)
	}
	return e, fault
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
	return d.text(text), nil
}

// unquote returns the text of a JSON string, valid until the next call.
// It fails on what is not Unicode, which the text then has U+FFFD for.
func (d *Decoder) unquote(quoted []byte) ([]byte, error) {
	var err error
	d.unquoted, err = jsontext.AppendUnquote(d.unquoted[:0], quoted)
	return d.unquoted, err
}

// text returns b as a string that equal texts share.
func (d *Decoder) text(b []byte) string {
	s, ok := d.texts[string(b)]
	if !ok {
		s = string(b)
		d.texts[s] = s
		d.remembered += rememberedText + int64(len(s))
	}
	return s
}

type tagsVerdict struct {
	tags  metric.Tags
	json  string // Of tags; "" when there are none.
	fault *metric.Fault
}

type tagMember struct {
	key   string
	value []byte // JSON text.
}

func (d *Decoder) tagsOf(object []byte) tagsVerdict {
	if object == nil {
		return tagsVerdict{}
	}
	if object[0] != '{' {
		return tagsVerdict{fault: malformed("tags must be an object of strings")}
	}
	v, ok := d.tags[string(object)]
	if !ok {
		v.tags, v.fault = d.readTags(object)
		v = d.remember(object, v)
	}
	return v
}

// readTags reads an object that is valid JSON.
func (d *Decoder) readTags(object []byte) (metric.Tags, *metric.Fault) {
	d.tagsJSON = reader(d.tagsJSON, object)
	in := d.tagsJSON
	d.members = d.members[:0]
	_, err := in.ReadToken()
	for err == nil && in.PeekKind() != '}' {
		var key, value jsontext.Value
		if key, err = in.ReadValue(); err != nil {
			break
		}
		text, keyErr := d.unquote(key)
		m := tagMember{key: d.text(text)}
		if keyErr != nil {
			m.key = "\xff" // Not UTF-8 either: no tag may have this key.
		}
		if value, err = in.ReadValue(); err != nil {
			break
		}
		end := int(in.InputOffset())
		m.value = object[end-len(value) : end]
		d.members = append(d.members, m)
	}
	if err != nil {
		return nil, malformed("cannot read tags: " + tidy(err).Error())
	}
	return d.judgeTags()
}

func (d *Decoder) judgeTags() (tags metric.Tags, fault *metric.Fault) {
	slices.SortStableFunc(d.members, func(a, b tagMember) int { return strings.Compare(a.key, b.key) })
	for i, m := range d.members {
		if i+1 < len(d.members) && d.members[i+1].key == m.key {
			continue // Of equal members the last one counts.
		}
		switch m.value[0] {
		case '"':
		case 'n':
			continue // null is the same as absent.
		default:
			return nil, malformed(fmt.Sprintf("the value of tag %.80q must be a string", m.key))
		}
		text, err := d.unquote(m.value)
		switch {
		case len(text) == 0 || fault != nil:
			// Only a member of the wrong type comes before another fault.
		case err != nil:
			fault = newFault(metric.CodeTagsInvalid, fmt.Sprintf("the value of tag %.80q is not valid UTF-8", m.key))
		case len(text) > metric.MaxTagValue:
			fault = newFault(metric.CodeTagsInvalid, fmt.Sprintf("the value of tag %.80q has %d bytes; at most %d are allowed", m.key, len(text), metric.MaxTagValue))
		case !metric.ValidTagKey(m.key):
			fault = newFault(metric.CodeTagsInvalid, metric.ValidateTagKey(m.key).Error())
		default:
			tags = append(tags, metric.Tag{Key: m.key, Value: d.text(text)})
		}
	}
	if fault == nil && len(tags) > metric.MaxTags {
		fault = newFault(metric.CodeTooManyTags, fmt.Sprintf("%d tags; at most %d are allowed", len(tags), metric.MaxTags))
	}
	if fault != nil {
		return nil, fault
	}
	return slices.Clip(tags), nil
}

func malformed(detail string) *metric.Fault { return newFault(metric.CodeMalformed, detail) }

func newFault(code, detail string) *metric.Fault { return &metric.Fault{Code: code, Detail: detail} }
