package prometheus

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"pulseboard/aggregate"
	"pulseboard/metric"
	"pulseboard/wire"
)

// staleMarker is the NaN that ends a series.
const staleMarker = 0x7ff0000000000002

// Decoder reads requests. It remembers series from one to the next, since requests have most of them in common. It is not safe for
// concurrent use.
type Decoder struct {
	// Cut has tags beyond the limits cut to fit, where they are refused else.
	Cut bool

	known wire.Memory[series]
	names []string // Of the metrics of the batch, by index.
	out   Request
	limit int

	// Of the time series that is being read.
	series     series
	partSeries series
	kind       metric.Kind
	start      int64 // Of 2.0 until rc.3, which has one for all samples.

	// Scratch space.
	labels, partLabels []byte
	symbols            [][]byte
	native             native
	histograms         []aggregate.Histogram
	counts             []uint64 // Of their bins.
	cumulative         []uint64
}

// NewDecoder returns a decoder that remembers as much as there is room for.
func NewDecoder(r *wire.Room) *Decoder { return &Decoder{known: wire.Memory[series]{Room: r}} }

// Names are those of the metrics of the last request, by the index of the batch.
func (d *Decoder) Names() []string { return d.names }

// Forget gives back what d remembers.
func (d *Decoder) Forget() { d.known.Forget() }

// Request is what a body holds. It is valid until the next call of its decoder.
type Request struct {
	wire.Batch

	Sent
}

// Sent is what came.
type Sent struct {
	Samples, Histograms int
	NotNumbers          int   // Samples without a number, which a chart shows as nothing: they are left out.
	Exemplars           int   // They are left out.
	histograms          []int // Indexes of the batch that are histograms; of one with bounds of its own, which becomes several, the first.
}

// IsHistogram reports whether the event at this index of the batch stands for a histogram that was sent.
func (s *Sent) IsHistogram(index int) bool {
	_, found := slices.BinarySearch(s.histograms, index)
	return found
}

var errFields = errors.New("the body is not a protocol buffer of remote write")

// Write1 reads a prometheus.WriteRequest, Write2 an io.prometheus.write.v2.Request. An error is wire.ErrTooMany, of more than limit samples, or
// one of syntax, after which nothing counts.
func (d *Decoder) Write1(body []byte, limit int) (*Request, error) {
	d.begin(limit)
	for f := (fields{text: body}); ; {
		if !f.next() {
			return d.end(f.err)
		}
		if f.number == 1 {
			if err := d.timeSeries1(f.bytes); err != nil {
				return d.end(err)
			}
		}
	}
}

// Write2 reads the body of remote write 2.0, as Write1.
func (d *Decoder) Write2(body []byte, limit int) (*Request, error) {
	d.begin(limit)
	d.symbols = d.symbols[:0]
	for f := (fields{text: body}); f.next(); { // Symbols may come after the series that name them.
		if f.number == 4 {
			d.symbols = append(d.symbols, f.bytes)
		}
	}
	for f := (fields{text: body}); ; {
		if !f.next() {
			return d.end(f.err)
		}
		if f.number == 5 {
			if err := d.timeSeries2(f.bytes); err != nil {
				return d.end(err)
			}
		}
	}
}

func (d *Decoder) begin(limit int) {
	d.out.Clear()
	d.out, d.names = Request{Batch: d.out.Batch}, d.names[:0]
	d.limit, d.histograms, d.counts = limit, d.histograms[:0], d.counts[:0]
}

func (d *Decoder) end(err error) (*Request, error) {
	clear(d.symbols) // They are parts of the body.
	switch {
	case errors.Is(err, wire.ErrTooMany):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errFields, err)
	}
	return &d.out, nil
}

// timeSeries1 reads a series of 1.0: labels, then samples, exemplars and histograms.
func (d *Decoder) timeSeries1(text []byte) error {
	d.labels, d.kind, d.start = d.labels[:0], metric.Cumulative, 0
	f := fields{text: text}
	for f.next() {
		if f.number == 1 {
			name, value, err := label(f.bytes)
			if err != nil {
				return err
			}
			d.labels = appendText(appendText(d.labels, name), value)
		}
	}
	if f.err != nil {
		return f.err
	}
	d.series = d.lookUp(d.labels)
	return d.samples(text, 2, 3, 4)
}

func label(text []byte) (name, value []byte, err error) {
	f := fields{text: text}
	for f.next() {
		switch f.number {
		case 1:
			name = f.bytes
		case 2:
			value = f.bytes
		}
	}
	return name, value, f.err
}

// timeSeries2 reads a series of 2.0.
func (d *Decoder) timeSeries2(text []byte) error {
	d.labels, d.kind, d.start = d.labels[:0], metric.Cumulative, 0
	f, count, missing := fields{text: text}, 0, false
	for f.next() {
		switch f.number {
		case 1:
			f.varints(func(ref uint64) {
				if count++; ref < uint64(len(d.symbols)) {
					d.labels = appendText(d.labels, d.symbols[ref])
				} else {
					missing = true
				}
			})
		case 5:
			d.kind = kindOf(f.bytes)
		case 6:
			d.start = int64(f.bits)
		}
	}
	switch {
	case f.err != nil:
		return f.err
	case missing:
		return errors.New("a label refers to a symbol that is not there")
	case count%2 != 0:
		return errors.New("a label has no value")
	}
	d.series = d.lookUp(d.labels)
	return d.samples(text, 2, 4, 3)
}

// The types of 2.0 whose samples are what something stands at.
const (
	typeGauge    = 2
	typeInfo     = 6
	typeStateSet = 7
)

func kindOf(metadata []byte) metric.Kind {
	for f := (fields{text: metadata}); f.next(); {
		if f.number == 1 && (f.bits == typeGauge || f.bits == typeInfo || f.bits == typeStateSet) {
			return metric.Gauge
		}
	}
	return metric.Cumulative
}

// lookUp returns what labels stand for.
func (d *Decoder) lookUp(labels []byte) series {
	if known := d.known.Find(labels); known != nil {
		return known.Value
	}
	text := string(labels)
	return d.known.Add(text, makeSeries(text, d.Cut)).Value
}

// samples reads what a series has, besides its labels, in fields of these numbers.
func (d *Decoder) samples(text []byte, sample, exemplar, histogram uint32) error {
	f := fields{text: text}
	for f.next() {
		var err error
		switch uint32(f.number) {
		case sample:
			err = d.sample(f.bytes)
		case histogram:
			err = d.histogram(f.bytes)
		case exemplar:
			d.out.Exemplars++
		}
		if err != nil {
			return err
		}
		if d.out.N > d.limit {
			return wire.ErrTooMany
		}
	}
	return f.err
}

func (d *Decoder) sample(text []byte) error {
	var value float64
	var at int64
	start := d.start
	f := fields{text: text}
	for f.next() {
		switch f.number {
		case 1:
			value = f.double()
		case 2:
			at = int64(f.bits)
		case 3:
			start = int64(f.bits)
		}
	}
	d.out.Samples++
	d.number(&d.series, value, d.kind, at, start)
	return f.err
}

// number adds a sample of a number.
func (d *Decoder) number(s *series, value float64, kind metric.Kind, at, start int64) {
	e := metric.Event{Value: value, Kind: kind, Start: start}
	if math.IsNaN(value) || math.IsInf(value, 0) {
		if math.Float64bits(value) != staleMarker {
			d.out.NotNumbers++
			return
		}
		e = metric.Event{Stale: true}
	}
	d.add(s, e, at)
}

// add adds an event of a series, or its fault.
func (d *Decoder) add(s *series, e metric.Event, at int64) {
	e.Metric, e.Tags, e.Time, e.Point = s.metric, s.tags, at, true
	d.names = append(d.names, s.metric)
	if e.Start < metric.EarliestTime || e.Start > at || e.Kind == metric.Gauge {
		e.Start = 0 // It says nothing.
	}
	fault := s.fault
	if fault == nil {
		fault = metric.TimeFault(at)
	}
	if fault == nil {
		fault = e.Check()
	}
	if fault != nil {
		d.out.Refuse(*fault)
		return
	}
	if s.cut {
		d.out.Cut++
	}
	d.out.Add(e, s.json)
}
