package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"pulseboard/metric"
	"pulseboard/wire"
)

// influxDecoder reads lines. Like wire.Decoder it remembers names and tags from one request to the next, since events have
// most of them in common.
//
// The library for lines gives up a line at the first field that it cannot read, and the good ones beside it. So only values
// are its work; FuzzInflux compares the rest with it.
type influxDecoder struct {
	cut           bool // Tags beyond the limits are cut to fit.
	refuseStrings bool // They are passed over else.

	batch wire.Batch
	names []string // Of the values, by index; "" for a line that is none.

	timed, finer   bool // Every line has a time; some have one that is no whole millisecond.
	line           int  // Of the first line that is broken, 0 = there is none.
	strings, twice int  // Fields that were passed over: strings, and those that their line has again.

	text         []byte
	at           int // What is read next.
	counted, row int // Where lines are counted up to, and the number of the line there.

	name   []byte
	of     head   // The line's.
	first  int    // The first event of the line,
	serial uint64 // and its number, in this and all requests before.
	large  map[string]int
	last   stamped

	known wire.Memory[judgedName]
	heads wire.Memory[head] // By their text.
}

// head is what stands before the fields of a line: the measurement and the tags.
type head struct {
	judgedTags

	measurement string
	tagsAt      int // Where the tags begin in it.
}

// stamped is a time as a line has it, and what it says.
type stamped struct {
	text  []byte
	time  int64
	nanos int32
}

// judgedName is a name, or what is wrong with it.
type judgedName struct {
	value  string
	fault  *metric.Fault
	serial uint64 // Of the line that had it last.
}

// Bytes implements wire.Sized.
func (n judgedName) Bytes() int { return len(n.value) + faultBytes(n.fault) }

// judgedTags are tags, or what is wrong with them.
type judgedTags struct {
	value  metric.Tags
	json   string // As they stand in records.
	cut    bool
	fault  *metric.Fault
	broken error // The line cannot be read.
}

// Bytes implements wire.Sized.
func (t judgedTags) Bytes() int { return 32*len(t.value) + len(t.json) + faultBytes(t.fault) }

func faultBytes(f *metric.Fault) int {
	if f == nil {
		return 0
	}
	return 48 + len(f.Detail)
}

// newInfluxDecoder returns a decoder that remembers as much as there is room for.
func newInfluxDecoder(r *wire.Room) *influxDecoder {
	return &influxDecoder{known: wire.Memory[judgedName]{Room: r}, heads: wire.Memory[head]{Room: r}}
}

// Forget gives back what d remembers.
func (d *influxDecoder) Forget() {
	d.known.Forget()
	d.heads.Forget()
}

func (d *influxDecoder) begin(text []byte) {
	d.batch.Clear()
	d.names, d.timed, d.finer, d.line, d.strings, d.twice = d.names[:0], true, false, 0, 0, 0
	d.text, d.at, d.counted, d.row = text, 0, 0, 1
}

// read turns each field of each line into an event. What it returns is valid until the next call.
func (d *influxDecoder) read(text []byte, limit int, perMs, ms int64) (*wire.Batch, error) {
	d.begin(text)
	defer func() { d.text, d.large, d.last = nil, nil, stamped{} }()
	for d.nextLine() {
		b := &d.batch
		events, faults, n, cut, passed, twice := len(b.Events), len(b.Faults), b.N, b.Cut, d.strings, d.twice
		switch err := d.point(limit, perMs, ms); {
		case errors.Is(err, wire.ErrTooMany):
			return nil, err
		case err != nil:
			// Nothing of a broken line counts: it stands for one value.
			b.Keep(events)
			b.Faults, b.N, b.Cut = b.Faults[:faults], n, cut
			d.names, d.strings, d.twice = d.names[:n], passed, twice
			d.broken(err)
			d.skipLine()
		}
		if b.N > limit {
			return nil, wire.ErrTooMany
		}
	}
	return &d.batch, nil
}

// nextLine goes to the next line that is neither empty nor a comment.
func (d *influxDecoder) nextLine() bool {
	for d.at < len(d.text) {
		switch d.text[d.at] {
		case ' ', '\r', '\n':
			d.at++
		case '#':
			d.skipLine()
		default:
			return true
		}
	}
	return false
}

// skipLine goes to the end of the line.
func (d *influxDecoder) skipLine() {
	if n := bytes.IndexByte(d.text[d.at:], '\n'); n >= 0 {
		d.at += n
		return
	}
	d.at = len(d.text)
}

// broken says what is wrong with the line, and where.
func (d *influxDecoder) broken(err error) {
	d.row += bytes.Count(d.text[d.counted:d.at], []byte{'\n'})
	d.counted = d.at
	column := d.at - (bytes.LastIndexByte(d.text[:d.at], '\n') + 1) + 1
	if d.line == 0 {
		d.line = d.row
	}
	d.fault("", &metric.Fault{Code: metric.CodeMalformed, Detail: fmt.Sprintf("line %d, byte %d: %v", d.row, column, err)})
}

func (d *influxDecoder) fault(name string, f *metric.Fault) {
	d.batch.Faults = append(d.batch.Faults, wire.IndexedFault{Index: d.batch.N, Fault: *f})
	d.names = append(d.names, name)
	d.batch.N++
}

// point reads a line; an error is one of its syntax, or wire.ErrTooMany.
func (d *influxDecoder) point(limit int, perMs, ms int64) error {
	if err := d.head(); err != nil {
		return err
	}
	d.serial++
	d.first, d.large = len(d.batch.Events), nil
	faults := len(d.batch.Faults)
	for {
		d.field()
		if d.batch.N > limit {
			return wire.ErrTooMany // A single line may have millions.
		}
		if d.at == len(d.text) || d.text[d.at] != ',' {
			break
		}
		d.at++
	}
	d.skipSpaces()
	begin := d.at
	for d.at < len(d.text) && (d.text[d.at] == '-' || d.text[d.at] >= '0' && d.text[d.at] <= '9') {
		d.at++
	}
	stamp := d.text[begin:d.at]
	if d.skipSpaces(); !d.lineEnds() {
		return fmt.Errorf("%.30q is no time: a whole number must end the line", d.text[begin:d.piece()])
	}
	if len(stamp) == 0 {
		d.timed = false
		return nil
	}
	d.stamp(stamp, perMs, ms, faults)
	return nil
}

// stamp gives the events of the line their time: that makes them points.
func (d *influxDecoder) stamp(text []byte, perMs, ms int64, faults int) {
	b := &d.batch
	var fault *metric.Fault
	if !bytes.Equal(text, d.last.text) { // Lines of a request mostly have the same.
		d.last.text = text
		if d.last.time, d.last.nanos, fault = influxTime(text, perMs, ms); fault != nil {
			d.last.text = nil
		}
	}
	if fault == nil {
		d.finer = d.finer || d.last.nanos != 0
		for i := range b.Events[d.first:] {
			e := &b.Events[d.first+i]
			e.Time, e.Nanos, e.Point = d.last.time, d.last.nanos, true
		}
		return
	}
	// Faults come by index: those of this line's events go between those of its other values.
	for _, i := range b.Index[d.first:] {
		b.Faults = append(b.Faults, wire.IndexedFault{Index: i, Fault: *fault})
	}
	slices.SortFunc(b.Faults[faults:], func(a, b wire.IndexedFault) int { return a.Index - b.Index })
	if d.of.cut {
		b.Cut -= len(b.Events) - d.first
	}
	b.Keep(d.first)
}

// influxTime is a line's time in epoch milliseconds, and the nanoseconds after that.
func influxTime(stamp []byte, perMs, ms int64) (t int64, nanos int32, fault *metric.Fault) {
	t, err := strconv.ParseInt(string(stamp), 10, 64)
	if err != nil || t > math.MaxInt64/ms || t < math.MinInt64/ms {
		return 0, 0, &metric.Fault{Code: metric.CodeEventTimeInvalid, Detail: fmt.Sprintf("the time %.30s is beyond what 64 bits hold", stamp)}
	}
	const milli = 1_000_000
	nanos = int32(t % perMs * (milli / perMs))
	t = t * ms / perMs
	return t, nanos, metric.TimeFault(t)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' }

// piece returns where the next comma, white space or the end is.
func (d *influxDecoder) piece() int {
	i := d.at
	for i < len(d.text) && d.text[i] != ',' && !isSpace(d.text[i]) {
		i++
	}
	return i
}

func (d *influxDecoder) skipSpaces() {
	for d.at < len(d.text) && d.text[d.at] == ' ' {
		d.at++
	}
}

// lineEnds reports whether the line ends at d.at.
func (d *influxDecoder) lineEnds() bool {
	rest := d.text[d.at:]
	return len(rest) == 0 || rest[0] == '\n' || rest[0] == '\r' && (len(rest) == 1 || rest[1] == '\n')
}

var errNoField = errors.New("the line has no field")

// head reads what is before the fields.
func (d *influxDecoder) head() error {
	begin := d.at
	known := d.heads.Next(d.text[begin:])
	if known == nil || begin+len(known.Text) == len(d.text) || d.text[begin+len(known.Text)] != ' ' {
		end, tags, err := d.headEnds()
		if err != nil {
			return err
		}
		text := d.text[begin:end]
		if known = d.heads.Find(text); known == nil {
			own := string(text)
			known = d.heads.Add(own, d.makeHead(own, tags-begin))
		}
	}
	d.of = known.Value
	d.at = begin + len(known.Text)
	if d.skipSpaces(); d.lineEnds() {
		return errNoField
	}
	if d.of.broken != nil {
		d.at = begin + d.of.tagsAt
		return d.of.broken
	}
	return nil
}

// headEnds finds where the head at d.at ends, and where its tags begin.
func (d *influxDecoder) headEnds() (end, tags int, err error) {
	i := d.at
	for ; i < len(d.text) && d.text[i] != ' ' && d.text[i] != ',' && d.text[i] != '\n'; i++ {
		if d.isEscape(i, ',') {
			i++
		}
	}
	if i == d.at {
		return 0, 0, errors.New("the line has no measurement")
	}
	for tags = i; i < len(d.text) && d.text[i] != ' '; i++ {
		switch {
		case d.text[i] == '\n':
			d.at = i
			return 0, 0, errNoField
		case d.isEscape(i, ' '):
			i++
		}
	}
	return i, tags, nil
}

// isEscape reports whether there is a backslash that takes from a space, or from other, what it means.
func (d *influxDecoder) isEscape(i int, other byte) bool {
	return d.text[i] == '\\' && i+1 < len(d.text) && (d.text[i+1] == ' ' || d.text[i+1] == other)
}

// makeHead reads the text of a head. Names are parts of it, unless they have escapes.
func (d *influxDecoder) makeHead(text string, tagsAt int) head {
	measurement := text[:tagsAt]
	if strings.IndexByte(measurement, '\\') >= 0 {
		measurement = strings.NewReplacer(`\ `, " ", `\,`, ",").Replace(measurement)
	}
	return head{d.makeTags(text[tagsAt:]), measurement, tagsAt}
}

// makeTags reads a text of tags. Keys and values are parts of it, unless they have escapes.
func (d *influxDecoder) makeTags(text string) (judged judgedTags) {
	var tags metric.Tags
	for len(text) > 0 {
		var t metric.Tag
		var end byte
		if t.Key, end, text = cutTag(text[1:]); end != '=' || t.Key == "" {
			judged.broken = fmt.Errorf("the tag %.80q has no value, or no key", t.Key)
			return judged
		}
		if t.Value, end, text = cutTag(text[1:]); end == '=' {
			judged.broken = fmt.Errorf("the value of tag %.80q has a = without \\ before it", t.Key)
			return judged
		}
		if t.Value != "" { // Which is as absent.
			tags = append(tags, t)
		}
	}
	slices.SortStableFunc(tags, func(a, b metric.Tag) int { return strings.Compare(a.Key, b.Key) })
	if judged.fault = metric.CheckTags(tags); judged.fault != nil && d.cut {
		if fitting, cut := tags.Fit(); cut {
			tags, judged.cut, judged.fault = fitting, true, metric.CheckTags(fitting)
		}
	}
	if judged.value = slices.Clip(tags); judged.fault == nil && len(tags) > 0 {
		judged.json = judged.value.String()
	}
	return judged
}

// cutTag returns the key or the value of a tag that text begins with, the byte that ends it, 0 = the end, and the rest from that on.
func cutTag(text string) (part string, end byte, rest string) {
	escaped := false
	i := 0
	for ; i < len(text) && text[i] != ',' && text[i] != '='; i++ {
		if text[i] == '\\' && i+1 < len(text) && isEscaped(text[i+1]) {
			i++
			escaped = true
		}
	}
	part, rest = text[:i], text[i:]
	if escaped {
		part = string(unescape(nil, []byte(part)))
	}
	if len(rest) > 0 {
		end = rest[0]
	}
	return part, end, rest
}

// isEscaped reports whether a backslash before c stands for c alone, in tags and keys of fields.
func isEscaped(c byte) bool { return c == ',' || c == '=' || c == ' ' }

func unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && isEscaped(text[i+1]) {
			i++
		}
		dst = append(dst, text[i])
	}
	return dst
}

// field reads a field, good or bad, up to the comma or the space behind it.
func (d *influxDecoder) field() {
	begin, escaped := d.at, false
	for ; d.at < len(d.text); d.at++ {
		c := d.text[d.at]
		if c == '\\' && d.at+1 < len(d.text) && isEscaped(d.text[d.at+1]) {
			d.at++
			escaped = true
		} else if isEscaped(c) || c == '\n' || c == '\r' {
			break
		}
	}
	key := d.text[begin:d.at]
	d.name = append(d.name[:0], d.of.measurement...)
	if string(key) != "value" {
		d.name = append(d.name, '.')
		if escaped {
			d.name = unescape(d.name, key)
		} else {
			d.name = append(d.name, key...)
		}
	}
	if len(key) == 0 || d.at == len(d.text) || d.text[d.at] != '=' {
		d.at = d.piece()
		d.fault(shortName(d.name), &metric.Fault{Code: metric.CodeMalformed, Detail: "a field must be a key, =, and a value"})
		return
	}
	d.at++
	if d.at < len(d.text) && d.text[d.at] == '"' {
		d.quoted()
		return
	}
	begin = d.at
	d.at = d.piece()
	v, written, fault := influxValue(d.text[begin:d.at])
	if fault != nil {
		d.fault(shortName(d.name), fault)
		return
	}
	name, again := d.metric()
	switch {
	case name.fault != nil:
		d.fault(name.value, name.fault)
	case d.of.fault != nil:
		d.fault(name.value, d.of.fault)
	default:
		d.add(name.value, v, written, again)
	}
}

// add adds an event, or gives the one of the same field of this line its value: as in InfluxDB, the last one counts.
func (d *influxDecoder) add(name string, v float64, written []byte, again bool) {
	b := &d.batch
	if again {
		if i := d.find(name); i >= 0 {
			b.SetValue(i, v, written)
			d.twice++
			return
		}
	}
	if d.large != nil {
		d.large[name] = len(b.Events)
	}
	b.Add(metric.Event{Metric: name, Value: v, Tags: d.of.value}, d.of.json, written)
	if d.of.cut {
		b.Cut++
	}
	d.names = append(d.names, name)
}

// manyFields is how many fields of a line are searched one by one.
const manyFields = 64

// find returns the event of this line that has the name, -1 = there is none.
func (d *influxDecoder) find(name string) int {
	all := d.batch.Events[d.first:]
	if len(all) <= manyFields {
		for i := range all {
			if all[i].Metric == name {
				return d.first + i
			}
		}
		return -1
	}
	if d.large == nil {
		d.large = make(map[string]int, 2*len(all))
		for i := range all {
			d.large[all[i].Metric] = d.first + i
		}
	}
	if i, ok := d.large[name]; ok {
		return i
	}
	return -1
}

// quoted reads the string that a field has.
func (d *influxDecoder) quoted() {
	begin := d.at
	for d.at++; d.at < len(d.text) && d.text[d.at] != '"'; d.at++ {
		if d.text[d.at] == '\\' {
			d.at++
		}
	}
	if d.at >= len(d.text) {
		d.at = begin
		d.skipLine()
		d.fault(shortName(d.name), &metric.Fault{Code: metric.CodeMalformed, Detail: "the string has no quote at its end"})
		return
	}
	d.at++
	switch end := d.piece(); {
	case end > d.at:
		d.at = end
		d.fault(shortName(d.name), &metric.Fault{Code: metric.CodeMalformed, Detail: "something follows the string"})
	case d.refuseStrings:
		d.fault(shortName(d.name), &metric.Fault{Code: metric.CodeMalformed, Detail: "a string has no place on a chart: leave the field out where it is sent, or make it a tag"})
	default:
		d.strings++
	}
}

// influxValue reads the value of a field that is no string. written is its text in JSON, nil where it has another one.
func influxValue(text []byte) (v float64, written []byte, fault *metric.Fault) {
	digits, whole := bytes.CutSuffix(text, []byte{'i'})
	if v, ok := wire.PlainNumber(digits); ok && (!whole || bytes.IndexByte(digits, '.') < 0 && digits[0] != '-') {
		return v, digits, nil
	}
	v, fault = seldomValue(text)
	return v, nil, fault
}

// seldomValue reads any value of a field that is no string.
func seldomValue(text []byte) (float64, *metric.Fault) {
	kind, digits := lineprotocol.Float, text
	switch {
	case len(text) == 0:
		return 0, &metric.Fault{Code: metric.CodeMalformed, Detail: "the field has no value"}
	case isNotFinite(text):
		return 0, &metric.Fault{Code: metric.CodeValueNotFinite, Detail: fmt.Sprintf("the value %s is no number that can be counted: leave the field out", text)}
	case text[0] != '-' && text[0] != '.' && (text[0] < '0' || text[0] > '9'):
		kind = lineprotocol.Bool
	case text[len(text)-1] == 'i':
		kind, digits = lineprotocol.Int, text[:len(text)-1]
	case text[len(text)-1] == 'u':
		kind, digits = lineprotocol.Uint, text[:len(text)-1]
	}
	v, err := lineprotocol.NewValueFromBytes(kind, digits)
	switch {
	case errors.Is(err, lineprotocol.ErrValueOutOfRange):
		return 0, &metric.Fault{Code: metric.CodeValueNotFinite, Detail: fmt.Sprintf("the value %.40s is beyond the numbers that 64 bits hold", text)}
	case err != nil:
		return 0, &metric.Fault{Code: metric.CodeMalformed, Detail: fmt.Sprintf("the value %.40q is neither a number nor a boolean, and has no quotes of a string", text)}
	}
	return number(v), nil
}

// isNotFinite reports whether a text is one of those that programs write for NaN and the infinities.
func isNotFinite(text []byte) bool {
	c := text[0]
	if (c == '-' || c == '+') && len(text) > 1 {
		c = text[1]
	}
	if c|0x20 != 'n' && c|0x20 != 'i' || len(text) > len("-infinity") {
		return false
	}
	switch strings.ToLower(strings.TrimLeft(string(text), "+-")) {
	case "nan", "inf", "infinity":
		return true
	}
	return false
}

func number(v lineprotocol.Value) float64 {
	switch v.Kind() {
	case lineprotocol.Int:
		return float64(v.IntV())
	case lineprotocol.Uint:
		return float64(v.UintV())
	case lineprotocol.Bool:
		if v.BoolV() {
			return 1
		}
		return 0
	default:
		return v.FloatV()
	}
}

// shortName is a name in an answer, whatever is in it.
func shortName(name []byte) string {
	if metric.ValidName(name) {
		return string(name)
	}
	return fmt.Sprintf("%.220q", name)
}

// metric is the name of the field at hand: measurement.field, or the measurement alone when the field is value. again says that
// the line may have had it before.
func (d *influxDecoder) metric() (name judgedName, again bool) {
	n := d.known.Find(d.name)
	if again = n == nil; again {
		judged := judgedName{value: string(d.name)}
		if err := metric.ValidateName(judged.value); err != nil {
			judged = judgedName{value: shortName(d.name), fault: &metric.Fault{Code: metric.CodeNameInvalid, Detail: err.Error()}}
		}
		n = d.known.Add(string(d.name), judged)
	}
	again = again || n.Value.serial == d.serial
	n.Value.serial = d.serial
	return n.Value, again
}
