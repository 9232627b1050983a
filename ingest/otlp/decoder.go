package otlp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"pulseboard/aggregate"
	"pulseboard/ingest/internal/points"
	"pulseboard/ingest/internal/protofields"
	"pulseboard/metric"
	"pulseboard/wire"
)

// Decoder reads requests. It remembers series from one to the next, since requests have most of them in common. It is not safe for
// concurrent use.
type Decoder struct {
	// Cut has tags beyond the limits cut to fit, where they are refused else.
	Cut bool
	// Attributes are those of resources and scopes that become tags besides DefaultAttributes. They are looked at in the first request.
	Attributes []string

	known  wire.Memory[entry]
	wanted map[string]struct{} // Attributes of both lists.
	json   transcoder
	out    Request
	limit  int

	// Of the metric that is being read. Every one of all requests has a number.
	name         []byte
	unit, help   []byte
	number       uint64
	first        uint64 // Of the request.
	points       []int  // The first event of each data point.
	resourceTags []byte // Pairs of texts, of the resource alone
	outerTags    []byte // and of the scope as well.
	point        dataPoint
	attributes   []byte // The fields of those of the data point, as it has them: what is known is not looked into.
	broken       error  // They cannot be read.

	// Scratch space.
	joined, pairs, key, value, bound []byte
	histograms                       []aggregate.Histogram
	counts                           []uint64 // Of their bins.
}

// NewDecoder returns a decoder that remembers as much as there is room for.
func NewDecoder(r *wire.Room) *Decoder { return &Decoder{known: wire.Memory[entry]{Room: r}} }

// Names are those of the metrics of the last request, by the index of the batch.
func (d *Decoder) Names() []string { return d.out.Names }

// Forget gives back what d remembers.
func (d *Decoder) Forget() { d.known.Forget() }

// Request is what a body holds. It is valid until the next call of its decoder.
type Request struct {
	points.Batch

	Sent
}

// Sent is what came.
type Sent struct {
	Points    []int // Of each data point the index of its first event: it may have several, and one that is left out has none.
	Exemplars int   // They are left out.
}

// DataPoints is how many data points the events have that lie in ranges of indexes, rising.
func (s *Sent) DataPoints(ranges [][2]int) (n int) {
	last := -1
	for _, r := range ranges {
		for i := r[0]; i <= r[1]; i++ {
			at, _ := slices.BinarySearch(s.Points, i+1) // The first one behind that of the event.
			if at-1 != last {
				n++
				last = at - 1
			}
		}
	}
	return n
}

// EventsOfPoint is how many times more events than data points a request may have: a histogram has one for each of its buckets.
const EventsOfPoint = 8

var errBody = errors.New("the body is not an ExportMetricsServiceRequest")

// Protobuf reads an ExportMetricsServiceRequest of protocol buffers. An error is wire.ErrTooMany, of more than limit data points, or one of
// syntax, after which nothing counts.
func (d *Decoder) Protobuf(body []byte, limit int) (*Request, error) {
	d.begin(limit)
	f := protofields.Fields{Text: body}
	for f.Next() {
		if f.Number == 1 {
			if err := d.resourceMetrics(f.Bytes); err != nil {
				return d.end(err)
			}
		}
	}
	return d.end(f.Err)
}

// JSON reads one in OTLP's JSON, as Protobuf. most is how many bytes it may have as protocol buffers.
func (d *Decoder) JSON(body []byte, limit int, most int64) (*Request, error) {
	text, err := d.json.transcode(body, most)
	if err != nil {
		d.begin(limit)
		return d.end(err)
	}
	return d.Protobuf(text, limit)
}

func (d *Decoder) begin(limit int) {
	if d.wanted == nil {
		d.wanted = wanted(d.Attributes)
	}
	d.out.Clear()
	d.out = Request{Batch: d.out.Batch}
	d.points, d.histograms, d.counts = d.points[:0], d.histograms[:0], d.counts[:0]
	d.limit, d.first = limit, d.number+1
}

func (d *Decoder) end(err error) (*Request, error) {
	d.name, d.attributes, d.unit, d.help = nil, nil, nil, nil // They are parts of the body.
	if err != nil {
		d.out.Clear() // So is what was said.
	}
	switch {
	case errors.Is(err, wire.ErrTooMany):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errBody, err)
	}
	d.out.Points = d.points
	return &d.out, nil
}

// Trim lets go of memory that only large requests need. What was read is not valid any more.
func (d *Decoder) Trim() {
	const events, counts, bytes = 64 << 10, 256 << 10, 1 << 20
	if cap(d.out.Events) > events {
		d.out, d.points = Request{}, nil
	}
	if cap(d.counts) > counts {
		d.counts, d.histograms = nil, nil
	}
	d.json.trim(bytes)
}

func (d *Decoder) resourceMetrics(text []byte) error {
	d.resourceTags = d.resourceTags[:0]
	f := protofields.Fields{Text: text}
	for f.Next() {
		if f.Number == 1 {
			if err := d.resource(f.Bytes); err != nil {
				return err
			}
		}
	}
	if f.Err != nil {
		return f.Err
	}
	for f = (protofields.Fields{Text: text}); f.Next(); {
		if f.Number == 2 {
			if err := d.scopeMetrics(f.Bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Decoder) scopeMetrics(text []byte) error {
	d.outerTags = append(d.outerTags[:0], d.resourceTags...)
	f := protofields.Fields{Text: text}
	for f.Next() {
		if f.Number == 1 {
			if err := d.scope(f.Bytes); err != nil {
				return err
			}
		}
	}
	if f.Err != nil {
		return f.Err
	}
	for f = (protofields.Fields{Text: text}); f.Next(); {
		if f.Number == 2 {
			if err := d.metric(f.Bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// The numbers of the fields of a metric that hold its data points.
const (
	gaugePoints       = 5
	sumPoints         = 7
	histogramPoints   = 9
	exponentialPoints = 10
	summaryPoints     = 11
)

func (d *Decoder) metric(text []byte) error {
	d.number++
	d.name, d.unit, d.help = nil, nil, nil
	var data []byte
	shape := int32(0)
	f := protofields.Fields{Text: text}
	for f.Next() {
		switch f.Number {
		case 1:
			d.name = f.Bytes
		case 2:
			d.help = f.Bytes
		case 3:
			d.unit = f.Bytes
		case gaugePoints, sumPoints, histogramPoints, exponentialPoints, summaryPoints:
			data, shape = f.Bytes, int32(f.Number)
		}
	}
	if f.Err != nil {
		return f.Err
	}
	var temporality uint64
	monotonic := false
	for f = (protofields.Fields{Text: data}); f.Next(); { // Both may come after the points.
		switch f.Number {
		case 2:
			temporality = f.Bits
		case 3:
			monotonic = f.Bits != 0
		}
	}
	if f.Err != nil {
		return f.Err
	}
	kind, known := kindOf(shape, temporality, monotonic)
	said := false
	for f = (protofields.Fields{Text: data}); f.Next(); {
		if f.Number != 1 {
			continue
		}
		if len(d.points) == d.limit || d.out.N >= d.limit*EventsOfPoint {
			return wire.ErrTooMany
		}
		d.points = append(d.points, d.out.N)
		if !known {
			d.refuse(metric.CodeKindInvalid, fmt.Sprintf("its aggregation temporality is %d: it must be 1, delta, or 2, cumulative", temporality))
			continue
		}
		before := len(d.out.Events)
		if err := d.dataPoint(f.Bytes, shape, kind); err != nil {
			return err
		}
		if !said && len(d.out.Events) > before { // All data points have the same.
			said = true
			d.out.Say(before, d.unit, d.help, shape == histogramPoints || shape == summaryPoints)
		}
	}
	return nil
}

// kindOf returns the kind of a metric's events. What can also fall is no counter: its sum is a gauge, and by how much it has changed is a
// delta, though it may be below zero.
func kindOf(shape int32, temporality uint64, monotonic bool) (kind metric.Kind, known bool) {
	const delta, cumulative = 1, 2
	switch {
	case shape == gaugePoints:
		return metric.Gauge, true
	case shape == summaryPoints:
		return metric.Cumulative, true
	case temporality == delta:
		return metric.Delta, true
	case temporality != cumulative:
		return metric.Plain, false
	case shape == sumPoints && !monotonic:
		return metric.Gauge, true
	}
	return metric.Cumulative, true
}

// refuse adds a data point with a fault of its own.
func (d *Decoder) refuse(code, detail string) {
	d.out.Refuse(string(d.name), metric.Fault{Code: code, Detail: detail})
}

// appendText appends a text after its length.
func appendText[T string | []byte](dst []byte, text T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}
