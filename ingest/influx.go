package ingest

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"pulseboard/metric"
	"pulseboard/wire"
)

// influxFormat is the line protocol of InfluxDB, as Telegraf and the clients of
// InfluxDB send it; docs/ingest.md says what becomes of a line. Answers are in
// the form of InfluxDB 2; those of /write also have the member error of InfluxDB 1.
func influxFormat() *format {
	decoders := newSpare(newInfluxDecoder)
	return &format{
		name: "influx", paths: []string{influxV1, "/api/v2/write"}, schemes: []string{"Bearer", "Token"},
		about: "lines of InfluxDB, as Telegraf and the clients of InfluxDB send them",
		hint:  "send lines such as cpu,host=a usage_idle=93.5 1763892000000000000",
		open: func(s *Service, c *gin.Context) (incoming, *refusal) {
			unit := c.Query("precision")
			perMs, ms, ok := precision(unit)
			if !ok {
				return nil, refuse(http.StatusBadRequest, fmt.Sprintf("the precision %.20q is not known: it must be ns, us, ms, s, m or h", unit))
			}
			return &influxRequest{s: s, decoders: decoders, perMs: perMs, ms: ms}, nil
		},
		refuse: refuseInflux,
	}
}

const influxV1 = "/write"

// precisions are the units of a line's time: how many of them are a millisecond, or
// how many milliseconds one of them is.
func precision(name string) (perMs, ms int64, ok bool) {
	switch name {
	case "", "ns", "n":
		return 1_000_000, 1, true
	case "us", "u", "µ", "µs":
		return 1000, 1, true
	case "ms":
		return 1, 1, true
	case "s":
		return 1, 1000, true
	case "m":
		return 1, 60_000, true
	case "h":
		return 1, 3_600_000, true
	}
	return 0, 0, false
}

type influxRequest struct {
	s         *Service
	decoders  *spare[*influxDecoder]
	perMs, ms int64
	decoder   *influxDecoder

	timed bool
	line  int64
	names []string // When there are faults.
}

func (r *influxRequest) decode(text []byte) (*wire.Batch, *refusal) {
	r.decoder = r.decoders.take(r.s.texts)
	r.decoder.cut = r.s.config.CutTags
	batch, err := r.decoder.read(text, r.s.config.MaxEvents, r.perMs, r.ms)
	if err != nil {
		return nil, r.s.tooMany()
	}
	r.timed, r.line = r.decoder.timed, r.decoder.line
	return batch, nil
}

func (r *influxRequest) release(faults bool) {
	if faults {
		r.names = slices.Clone(r.decoder.names)
	}
	r.decoders.put(r.decoder)
	r.decoder = nil
}

// id is that of the body even without a key when all its lines have a time:
// InfluxDB knows a point by its series and its time, so its clients repeat what was
// not answered, without an Idempotency-Key, and expect that it counts once.
func (r *influxRequest) id(key string, text []byte) string {
	if key == "" && r.timed {
		key = "lines with times"
	}
	return requestID(key, text)
}

func (r *influxRequest) answer(c *gin.Context, o *outcome) {
	switch o.status() {
	case http.StatusServiceUnavailable:
		influxAnswer(c, http.StatusServiceUnavailable, fmt.Sprintf("Kafka did not acknowledge %d of %d values: send the request again", o.unknown, o.n), 0)
	case http.StatusBadRequest:
		// Telegraf drops a batch whose 400 begins so or with "partial write", as below, and
		// repeats others for ever.
		influxAnswer(c, http.StatusBadRequest, "unable to parse: "+r.faults(o), r.line)
	default:
		if o.Rejected > 0 {
			influxAnswer(c, http.StatusBadRequest, "partial write: "+r.faults(o), r.line)
			return
		}
		c.Status(http.StatusNoContent)
	}
}

// namedFaults is how many faults an answer names that clients log as one line.
const namedFaults = 5

func (r *influxRequest) faults(o *outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d values are refused: ", o.Rejected, o.n)
	for i, e := range o.Errors[:min(namedFaults, len(o.Errors))] {
		if i > 0 {
			b.WriteString("; ")
		}
		if name := r.names[e.Index]; name != "" {
			b.WriteString(name + ": ")
		}
		b.WriteString(e.Code + ": " + e.Detail)
	}
	if more := o.Rejected - namedFaults; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	fmt.Fprintf(&b, " dropped=%d", o.Rejected)
	return b.String()
}

func refuseInflux(c *gin.Context, r *refusal) { influxAnswer(c, r.status, r.detail, 0) }

func influxAnswer(c *gin.Context, status int, message string, line int64) {
	codes := map[int]string{
		http.StatusBadRequest: "invalid", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden",
		http.StatusRequestEntityTooLarge: "request too large", http.StatusUnsupportedMediaType: "unsupported media type",
		http.StatusTooManyRequests: "too many requests", http.StatusServiceUnavailable: "unavailable",
	}
	a := struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Line    int64  `json:"line,omitempty"`
		Error   string `json:"error,omitempty"`
	}{codes[status], message, line, ""}
	if c.FullPath() == influxV1 {
		a.Error = message
	}
	c.JSON(status, a)
}

// influxDecoder reads lines. Like wire.Decoder it remembers names and tags from one
// request to the next, since events have most of them in common.
type influxDecoder struct {
	batch wire.Batch
	names []string // Of the values, by index; "" for a line that is none.
	timed bool     // Every line has a time.
	cut   bool     // Tags beyond the limits are cut to fit.
	line  int64    // Of the first syntax error, 0 = there is none.

	known wire.Memory[judgedName]
	tags  wire.Memory[judgedTags] // By the text of appendPair.

	// Scratch space.
	measurement, name, pairs []byte
}

// judgedName is a name, or what is wrong with it.
type judgedName struct {
	value string
	fault *metric.Fault
}

// Bytes implements wire.Sized.
func (n judgedName) Bytes() int { return len(n.value) + faultBytes(n.fault) }

// judgedTags are tags, or what is wrong with them.
type judgedTags struct {
	value metric.Tags
	cut   bool
	fault *metric.Fault
}

// Bytes implements wire.Sized.
func (t judgedTags) Bytes() int { return 32*len(t.value) + faultBytes(t.fault) }

func faultBytes(f *metric.Fault) int {
	if f == nil {
		return 0
	}
	return 48 + len(f.Detail)
}

// newInfluxDecoder returns a decoder that remembers as much as there is room for.
func newInfluxDecoder(r *wire.Room) *influxDecoder {
	return &influxDecoder{known: wire.Memory[judgedName]{Room: r}, tags: wire.Memory[judgedTags]{Room: r}}
}

// Forget gives back what d remembers.
func (d *influxDecoder) Forget() {
	d.known.Forget()
	d.tags.Forget()
}

func (d *influxDecoder) begin() {
	d.batch = wire.Batch{Events: d.batch.Events[:0], Index: d.batch.Index[:0]}
	d.names, d.timed, d.line = d.names[:0], true, 0
}

// read turns each field of each line into an event. What it returns is valid until the next call.
func (d *influxDecoder) read(text []byte, limit int, perMs, ms int64) (*wire.Batch, error) {
	d.begin()
	lines := lineprotocol.NewDecoderWithBytes(text)
	for lines.Next() {
		events, faults, n, cut := len(d.batch.Events), len(d.batch.Faults), d.batch.N, d.batch.Cut
		err := d.point(lines, limit, perMs, ms)
		if errors.Is(err, wire.ErrTooMany) {
			return nil, err
		}
		if err != nil {
			// Nothing of a broken line counts: it stands for one value.
			d.batch.Events, d.batch.Index, d.batch.Faults = d.batch.Events[:events], d.batch.Index[:events], d.batch.Faults[:faults]
			d.batch.N, d.batch.Cut, d.names = n, cut, d.names[:n]
			d.broken(err)
		}
		if d.batch.N > limit {
			return nil, wire.ErrTooMany
		}
	}
	return &d.batch, nil
}

func (d *influxDecoder) broken(err error) {
	detail := err.Error()
	var at *lineprotocol.DecodeError
	if errors.As(err, &at) {
		detail = fmt.Sprintf("line %d, byte %d: %v", at.Line, at.Column, at.Err)
		if d.line == 0 {
			d.line = at.Line
		}
	}
	d.fault("", &metric.Fault{Code: metric.CodeMalformed, Detail: detail})
}

func (d *influxDecoder) fault(name string, f *metric.Fault) {
	d.batch.Faults = append(d.batch.Faults, wire.IndexedFault{Index: d.batch.N, Fault: *f})
	d.names = append(d.names, name)
	d.batch.N++
}

// point reads a line; an error is one of its syntax, or wire.ErrTooMany.
func (d *influxDecoder) point(lines *lineprotocol.Decoder, limit int, perMs, ms int64) error {
	measurement, err := lines.Measurement()
	if err != nil {
		return err
	}
	d.measurement = append(d.measurement[:0], measurement...)
	tags, err := d.readTags(lines)
	if err != nil {
		return err
	}
	events, faults := len(d.batch.Events), len(d.batch.Faults)
	for {
		key, kind, value, err := lines.NextFieldBytes()
		if err != nil {
			return err
		}
		if key == nil {
			break
		}
		if err := d.field(key, kind, value, tags); err != nil {
			return err
		}
		if d.batch.N > limit {
			return wire.ErrTooMany // A single line may have millions.
		}
	}
	stamp, err := lines.TimeBytes()
	if err != nil {
		return err
	}
	if stamp == nil {
		d.timed = false
		return nil
	}
	t, fault := influxTime(stamp, perMs, ms)
	if fault == nil {
		for i := range d.batch.Events[events:] {
			d.batch.Events[events+i].Time = t
		}
		return nil
	}
	// Faults come by index: those of this line's events go between those of its other values.
	for _, i := range d.batch.Index[events:] {
		d.batch.Faults = append(d.batch.Faults, wire.IndexedFault{Index: i, Fault: *fault})
	}
	slices.SortFunc(d.batch.Faults[faults:], func(a, b wire.IndexedFault) int { return a.Index - b.Index })
	d.batch.Events, d.batch.Index = d.batch.Events[:events], d.batch.Index[:events]
	return nil
}

func influxTime(stamp []byte, perMs, ms int64) (int64, *metric.Fault) {
	t, err := strconv.ParseInt(string(stamp), 10, 64)
	if err != nil || t > math.MaxInt64/ms || t < math.MinInt64/ms {
		return 0, &metric.Fault{Code: metric.CodeEventTimeInvalid, Detail: fmt.Sprintf("the time %.30s is beyond what 64 bits hold", stamp)}
	}
	t = t * ms / perMs
	return t, metric.TimeFault(t)
}

// field adds one value of a line; an error is one of its syntax.
func (d *influxDecoder) field(key []byte, kind lineprotocol.ValueKind, text []byte, tags judgedTags) error {
	name := d.metric(key)
	if kind == lineprotocol.String {
		d.fault(name.value, &metric.Fault{Code: metric.CodeMalformed, Detail: "a string has no place on a chart: leave the field out where it is sent, or make it a tag"})
		return nil
	}
	v, err := lineprotocol.NewValueFromBytes(kind, text)
	switch {
	case errors.Is(err, lineprotocol.ErrValueOutOfRange):
		d.fault(name.value, &metric.Fault{Code: metric.CodeValueNotFinite, Detail: fmt.Sprintf("the value %.40s is beyond the numbers that 64 bits hold", text)})
		return nil
	case err != nil:
		return fmt.Errorf("the value %.40q of field %.80q: %w", text, key, err)
	}
	switch {
	case name.fault != nil:
		d.fault(name.value, name.fault)
	case tags.fault != nil:
		d.fault(name.value, tags.fault)
	default:
		if tags.cut {
			d.batch.Cut++
		}
		d.batch.Events = append(d.batch.Events, metric.Event{Metric: name.value, Value: number(v), Tags: tags.value})
		d.batch.Index = append(d.batch.Index, d.batch.N)
		d.names = append(d.names, name.value)
		d.batch.N++
	}
	return nil
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

// metric is measurement.field, or the measurement alone when the field is value.
func (d *influxDecoder) metric(field []byte) judgedName {
	d.name = append(d.name[:0], d.measurement...)
	if string(field) != "value" {
		d.name = append(append(d.name, '.'), field...)
	}
	if n := d.known.Find(d.name); n != nil {
		return n.Value
	}
	n := judgedName{value: string(d.name)}
	if err := metric.ValidateName(n.value); err != nil {
		n = judgedName{fmt.Sprintf("%.220q", n.value), &metric.Fault{Code: metric.CodeNameInvalid, Detail: err.Error()}}
	}
	return d.known.Add(string(d.name), n).Value
}

func (d *influxDecoder) readTags(lines *lineprotocol.Decoder) (t judgedTags, err error) {
	d.pairs = d.pairs[:0]
	for {
		key, value, err := lines.NextTag()
		if err != nil {
			return t, err
		}
		if key == nil {
			break
		}
		d.pairs = appendPair(appendPair(d.pairs, key), value)
	}
	if len(d.pairs) == 0 {
		return t, nil
	}
	if known := d.tags.Find(d.pairs); known != nil {
		return known.Value, nil
	}
	text := string(d.pairs)
	return d.tags.Add(text, d.makeTags(text)).Value, nil
}

// appendPair appends one half of a tag: its length, then its text.
func appendPair(dst, text []byte) []byte {
	dst = append(strconv.AppendInt(dst, int64(len(text)), 10), ' ')
	return append(dst, text...)
}

// makeTags makes tags of what appendPair wrote. Keys and values are parts of it.
func (d *influxDecoder) makeTags(pairs string) (judged judgedTags) {
	var tags metric.Tags
	cut := func() string {
		length, rest, _ := strings.Cut(pairs, " ")
		n, _ := strconv.Atoi(length) // appendPair wrote it.
		pairs = rest[n:]
		return rest[:n]
	}
	for len(pairs) > 0 {
		key := cut()
		tags = append(tags, metric.Tag{Key: key, Value: cut()})
	}
	slices.SortStableFunc(tags, func(a, b metric.Tag) int { return strings.Compare(a.Key, b.Key) })
	if d.cut {
		tags, judged.cut = tags.Fit()
	}
	judged.value, judged.fault = slices.Clip(tags), metric.CheckTags(tags)
	return judged
}
