package prometheus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"pulseboard/aggregate"
	"pulseboard/ingest/internal/points"
	"pulseboard/ingest/internal/protofields"
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

	known  wire.Memory[points.Series]
	blocks wire.Memory[points.Series] // By the labels as 1.0 has them.
	out    Request
	limit  int

	// Of the time series that is being read.
	series *points.Series
	whole  points.Series // That of a histogram which becomes others.
	kind   metric.Kind
	start  int64 // Of 2.0 until rc.3, which has one for all samples.

	// Scratch space.
	labels, partLabels []byte
	symbols            [][]byte
	native             native
	histograms         []aggregate.Histogram
	counts             []uint64 // Of their bins.
	cumulative         []uint64
}

// NewDecoder returns a decoder that remembers as much as there is room for.
func NewDecoder(r *wire.Room) *Decoder {
	return &Decoder{known: wire.Memory[points.Series]{Room: r}, blocks: wire.Memory[points.Series]{Room: r}}
}

// Names are those of the metrics of the last request, by the index of the batch.
func (d *Decoder) Names() []string { return d.out.Names }

// Forget gives back what d remembers.
func (d *Decoder) Forget() {
	d.known.Forget()
	d.blocks.Forget()
}

// Request is what a body holds. It is valid until the next call of its decoder.
type Request struct {
	points.Batch

	Sent
}

// Sent is what came.
type Sent struct {
	Samples, Histograms int
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
	for f := (protofields.Fields{Text: body}); ; {
		if !f.Next() {
			return d.end(f.Err)
		}
		switch f.Number {
		case 1:
			if err := d.timeSeries1(f.Bytes); err != nil {
				return d.end(err)
			}
		case 3:
			if err := d.metadata1(f.Bytes); err != nil {
				return d.end(err)
			}
		}
	}
}

// Write2 reads the body of remote write 2.0, as Write1.
func (d *Decoder) Write2(body []byte, limit int) (*Request, error) {
	d.begin(limit)
	d.symbols = d.symbols[:0]
	for f := (protofields.Fields{Text: body}); f.Next(); { // Symbols may come after the series that name them.
		if f.Number == 4 {
			d.symbols = append(d.symbols, f.Bytes)
		}
	}
	for f := (protofields.Fields{Text: body}); ; {
		if !f.Next() {
			return d.end(f.Err)
		}
		if f.Number == 5 {
			if err := d.timeSeries2(f.Bytes); err != nil {
				return d.end(err)
			}
		}
	}
}

func (d *Decoder) begin(limit int) {
	d.out.Clear()
	d.out = Request{Batch: d.out.Batch}
	d.limit, d.histograms, d.counts = limit, d.histograms[:0], d.counts[:0]
}

func (d *Decoder) end(err error) (*Request, error) {
	clear(d.symbols) // They are parts of the body.
	if err != nil {
		d.out.Clear() // So is what was said.
	}
	switch {
	case errors.Is(err, wire.ErrTooMany):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errFields, err)
	}
	return &d.out, nil
}

// timeSeries1 reads a series of 1.0: labels, then samples, exemplars and histograms. Labels that are known are not looked into.
func (d *Decoder) timeSeries1(text []byte) error {
	d.kind, d.start = metric.Cumulative, 0
	if n := protofields.Leading(text, 1); n > 0 && !hasLabels(text[n:]) {
		known := d.blocks.Find(text[:n])
		if known == nil {
			if err := d.readLabels(text[:n]); err != nil {
				return err
			}
			known = d.blocks.Add(string(text[:n]), makeSeries(string(d.labels), d.Cut))
		}
		d.series = &known.Value
		return d.samples(text[n:], 2, 3, 4)
	}
	if err := d.readLabels(text); err != nil {
		return err
	}
	d.series = d.lookUp(d.labels)
	return d.samples(text, 2, 3, 4)
}

// hasLabels reports whether there are further ones, which no known sender writes behind others.
func hasLabels(text []byte) bool {
	if n := protofields.Leading(text, 2); n == len(text) {
		return false // They are samples.
	}
	for f := (protofields.Fields{Text: text}); f.Next(); {
		if f.Number == 1 {
			return true
		}
	}
	return false
}

// readLabels reads the labels among the fields of a series.
func (d *Decoder) readLabels(text []byte) error {
	d.labels = d.labels[:0]
	f := protofields.Fields{Text: text}
	for f.Next() {
		if f.Number == 1 {
			name, value, err := protofields.Pair(f.Bytes)
			if err != nil {
				return err
			}
			d.labels = appendText(appendText(d.labels, name), value)
		}
	}
	return f.Err
}

// timeSeries2 reads a series of 2.0.
func (d *Decoder) timeSeries2(text []byte) error {
	d.labels, d.kind, d.start = d.labels[:0], metric.Cumulative, 0
	f, count, missing := protofields.Fields{Text: text}, 0, false
	var about metadata2
	for f.Next() {
		switch f.Number {
		case 1:
			f.Varints(func(ref uint64) {
				if count++; ref < uint64(len(d.symbols)) {
					d.labels = appendText(d.labels, d.symbols[ref])
				} else {
					missing = true
				}
			})
		case 5:
			about = readMetadata2(f.Bytes)
		case 6:
			d.start = int64(f.Bits)
		}
	}
	switch {
	case f.Err != nil:
		return f.Err
	case missing:
		return errors.New("a label refers to a symbol that is not there")
	case count%2 != 0:
		return errors.New("a label has no value")
	}
	d.series, d.kind = d.lookUp(d.labels), about.kind()
	before := len(d.out.Events)
	err := d.samples(text, 2, 4, 3)
	if about.unit != 0 || about.help != 0 {
		d.out.Say(before, d.symbol(about.unit), d.symbol(about.help), isOfValues(about.kindOf))
	}
	return err
}

// symbol is what a reference of metadata stands for. One that leads nowhere says nothing.
func (d *Decoder) symbol(ref uint64) []byte {
	if ref >= uint64(len(d.symbols)) {
		return nil
	}
	return d.symbols[ref]
}

// lookUp returns what labels stand for, until others are looked up.
func (d *Decoder) lookUp(labels []byte) *points.Series {
	known := d.known.Find(labels)
	if known == nil {
		text := string(labels)
		known = d.known.Add(text, makeSeries(text, d.Cut))
	}
	return &known.Value
}

// samples reads what a series has, besides its labels, in fields of these numbers.
func (d *Decoder) samples(text []byte, sample, exemplar, histogram uint32) error {
	f := protofields.Fields{Text: text}
	for f.Next() {
		var err error
		switch uint32(f.Number) {
		case sample:
			err = d.sample(f.Bytes)
		case histogram:
			err = d.histogram(f.Bytes)
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
	return f.Err
}

func (d *Decoder) sample(text []byte) error {
	var value float64
	var at int64
	start := d.start
	f := protofields.Fields{Text: text}
	if value, at, ok := plainSample(text); ok {
		d.out.Samples++
		d.number(d.series, value, d.kind, at, start)
		return nil
	}
	for f.Next() {
		switch f.Number {
		case 1:
			value = f.Double()
		case 2:
			at = int64(f.Bits)
		case 3:
			start = int64(f.Bits)
		}
	}
	d.out.Samples++
	d.number(d.series, value, d.kind, at, start)
	return f.Err
}

// plainSample reads a sample that is a value and a time, as most are.
func plainSample(text []byte) (value float64, at int64, ok bool) {
	const double, varint = 1<<3 | byte(protowire.Fixed64Type), 2<<3 | byte(protowire.VarintType)
	if len(text) < 11 || text[0] != double || text[9] != varint {
		return 0, 0, false
	}
	t, n := protowire.ConsumeVarint(text[10:])
	return math.Float64frombits(binary.LittleEndian.Uint64(text[1:])), int64(t), n == len(text)-10
}

// number adds a sample of a number.
func (d *Decoder) number(s *points.Series, value float64, kind metric.Kind, at, start int64) {
	if math.Float64bits(value) == staleMarker {
		d.out.Add(s, metric.Event{Stale: true}, at)
		return
	}
	d.out.Number(s, value, kind, at, start)
}
