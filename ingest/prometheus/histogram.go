package prometheus

import (
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

// customBounds is the schema of histograms that have the bounds of their buckets with them.
const customBounds = -53

// hintGauge says that a histogram can lose values.
const hintGauge = 3

// native is a histogram as it comes.
type native struct {
	count, zero  uint64
	sum          float64
	threshold    float64
	schema       int32
	hint         uint64
	at, start    int64
	fractions    bool // Some count is no whole number.
	negative     buckets
	positive     buckets
	customBounds []float64
}

// buckets are those of one sign: spans of buckets that follow each other, and how many values each has.
type buckets struct {
	spans  []span
	counts []uint64
}

type span struct {
	offset int64 // From the end of the span before; of the first its first bucket.
	length uint64
}

var errSpans = errors.New("the spans of a histogram do not fit the number of its buckets")

func (d *Decoder) histogram(text []byte) error {
	d.out.Histograms++
	h := &d.native
	*h = native{start: d.start, negative: h.negative.clear(), positive: h.positive.clear(), customBounds: h.customBounds[:0]}
	f := protofields.Fields{Text: text}
	for f.Next() {
		h.field(&f)
	}
	if f.Err != nil {
		return f.Err
	}
	before := d.out.N
	defer func() {
		if d.out.N > before {
			d.out.histograms = append(d.out.histograms, before)
		}
	}()
	switch {
	case math.Float64bits(h.sum) == staleMarker:
		d.out.Add(d.series, metric.Event{Stale: true}, h.at)
	case math.IsNaN(h.sum) || math.IsInf(h.sum, 0):
		d.out.NotNumbers++
	case h.fractions:
		d.refuse("its counts are no whole numbers, as those of recording rules: send the histogram that it is of")
	case h.hint == hintGauge:
		d.refuse("a histogram that can lose values has no place here: only those that count are taken")
	case h.schema == customBounds:
		d.classic(h)
	default:
		d.exponential(h)
	}
	return nil
}

func (b buckets) clear() buckets { return buckets{b.spans[:0], b.counts[:0]} }

// refuse adds a histogram with a fault of its own.
func (d *Decoder) refuse(detail string) {
	d.out.Refuse(d.series.Metric, metric.Fault{Code: metric.CodeHistogramInvalid, Detail: detail})
}

// field reads one field of a histogram, whose numbers are the same in 1.0 and 2.0.
func (h *native) field(f *protofields.Fields) {
	switch f.Number {
	case 1:
		h.count = f.Bits
	case 2:
		h.count = h.whole(f.Double())
	case 3:
		h.sum = f.Double()
	case 4:
		h.schema = int32(protowire.DecodeZigZag(f.Bits))
	case 5:
		h.threshold = f.Double()
	case 6:
		h.zero = f.Bits
	case 7:
		h.zero = h.whole(f.Double())
	case 8:
		h.negative.span(f)
	case 9:
		h.negative.deltas(f)
	case 10:
		f.Doubles(func(v float64) { h.negative.counts = append(h.negative.counts, h.whole(v)) })
	case 11:
		h.positive.span(f)
	case 12:
		h.positive.deltas(f)
	case 13:
		f.Doubles(func(v float64) { h.positive.counts = append(h.positive.counts, h.whole(v)) })
	case 14:
		h.hint = f.Bits
	case 15:
		h.at = int64(f.Bits)
	case 16:
		f.Doubles(func(v float64) { h.customBounds = append(h.customBounds, v) })
	case 17:
		h.start = int64(f.Bits)
	}
}

func (h *native) whole(v float64) uint64 {
	if v != math.Trunc(v) || v < 0 || v > aggregate.MaxCount {
		h.fractions = true
		return 0
	}
	return uint64(v)
}

func (b *buckets) span(f *protofields.Fields) {
	var s span
	inner := protofields.Fields{Text: f.Bytes}
	for inner.Next() {
		switch inner.Number {
		case 1:
			s.offset = protowire.DecodeZigZag(inner.Bits)
		case 2:
			s.length = inner.Bits
		}
	}
	if inner.Err != nil {
		f.Err = inner.Err
	}
	b.spans = append(b.spans, s)
}

// deltas reads counts that are told as differences to the one before.
func (b *buckets) deltas(f *protofields.Fields) {
	var last int64
	if n := len(b.counts); n > 0 {
		last = int64(b.counts[n-1])
	}
	f.Varints(func(v uint64) {
		last += protowire.DecodeZigZag(v)
		b.counts = append(b.counts, uint64(last)) // One below zero is too large then.
	})
}

// each calls take with the index of each bucket and its count. It fails when the spans are not those of the counts, or lie beyond what
// a float can be.
func (b *buckets) each(take func(index int64, count uint64)) error {
	const most = math.MaxInt32
	at, n := int64(0), 0
	for i, s := range b.spans {
		at += s.offset
		if i > 0 && s.offset < 0 || at < -most || at > most || s.length > uint64(len(b.counts)-n) {
			return errSpans
		}
		for range s.length {
			take(at, b.counts[n])
			at++
			n++
		}
	}
	if n != len(b.counts) {
		return errSpans
	}
	return nil
}

// exponential adds a native histogram. One of more bins than an event may have is told in wider ones.
func (d *Decoder) exponential(h *native) {
	if h.schema < aggregate.MinScale || h.schema > aggregate.MaxScale {
		d.refuse(fmt.Sprintf("its schema is %d; those from %d to %d are known, and %d, of buckets with bounds of their own",
			h.schema, aggregate.MinScale, aggregate.MaxScale, customBounds))
		return
	}
	low, high, err := h.reach()
	if err != nil {
		d.refuse(err.Error())
		return
	}
	shift := 0
	for high>>shift-low>>shift+1 > wire.MaxSampleBins/2 && int(h.schema)-shift > aggregate.MinScale {
		shift++
	}
	if n := high>>shift - low>>shift + 1; n > wire.MaxSampleBins/2 {
		d.refuse(fmt.Sprintf("its buckets are %d to %d, beyond what a number can be", low, high))
		return
	}
	d.histograms = append(d.histograms, aggregate.Histogram{
		Scale: int8(int(h.schema) - shift), Zero: h.zero, ZeroThreshold: h.threshold, Sum: h.sum, Count: h.count,
		Positive: d.bins(&h.positive, shift), Negative: d.bins(&h.negative, shift),
	})
	sample := &d.histograms[len(d.histograms)-1]
	if err := sample.Validate(); err != nil {
		d.refuse(err.Error())
		return
	}
	d.out.Add(d.series, metric.Event{Histogram: sample, Kind: metric.Cumulative, Start: h.start}, h.at)
}

// reach returns the lowest and the highest bucket of both signs.
func (h *native) reach() (low, high int64, err error) {
	low, high = math.MaxInt64, math.MinInt64
	for _, b := range []*buckets{&h.positive, &h.negative} {
		if err := b.each(func(i int64, _ uint64) { low, high = min(low, i-1), max(high, i-1) }); err != nil {
			return 0, 0, err
		}
	}
	if low > high {
		return 0, 0, nil
	}
	return low, high, nil
}

// bins are the buckets of one sign in bins that are 2^shift times as wide. Prometheus' bucket i ends at base^i, bin i begins there.
func (d *Decoder) bins(b *buckets, shift int) aggregate.Bins {
	if len(b.counts) == 0 {
		return aggregate.Bins{}
	}
	begin, first := len(d.counts), int64(0)
	_ = b.each(func(i int64, count uint64) { // It has been called before.
		at := (i - 1) >> shift
		if len(d.counts) == begin {
			first = at
		}
		for int64(len(d.counts)-begin) <= at-first {
			d.counts = append(d.counts, 0)
		}
		d.counts[begin+int(at-first)] += count
	})
	return aggregate.Bins{Offset: int32(first), Counts: slices.Clip(d.counts[begin:])}
}

// classic adds a histogram with bounds of its own as the series of a classic one.
func (d *Decoder) classic(h *native) {
	n := len(h.customBounds) + 1
	if n > points.MaxBounds || !slices.IsSorted(h.customBounds) {
		d.refuse(fmt.Sprintf("it has %d bounds: at most %d are allowed, each above the one before", n-1, points.MaxBounds-1))
		return
	}
	d.cumulative = append(d.cumulative[:0], make([]uint64, n)...)
	err := h.positive.each(func(i int64, count uint64) {
		if i >= 0 && i < int64(n) {
			d.cumulative[i] += count
		}
	})
	if err != nil {
		d.refuse(err.Error())
		return
	}
	d.whole = *d.series // Its parts are looked up, after which another may be in its place.
	d.series = &d.whole
	total := uint64(0)
	for i, count := range d.cumulative {
		total += count
		bound := "+Inf"
		if i < n-1 {
			bound = points.BoundText(h.customBounds[i])
		}
		d.number(d.part("_bucket", bound), float64(total), metric.Cumulative, h.at, h.start)
	}
	d.number(d.part("_count", ""), float64(h.count), metric.Cumulative, h.at, h.start)
	d.number(d.part("_sum", ""), h.sum, metric.Cumulative, h.at, h.start)
}

// part returns the series of a classic histogram that has this ending of the name, and of a bucket its bound.
func (d *Decoder) part(ending, bound string) *points.Series {
	d.partLabels = appendText(appendText(d.partLabels[:0], []byte(nameLabel)), append([]byte(d.series.Metric), ending...))
	for _, t := range d.series.Tags {
		d.partLabels = appendText(appendText(d.partLabels, []byte(t.Key)), []byte(t.Value))
	}
	if bound != "" {
		d.partLabels = appendText(appendText(d.partLabels, []byte("le")), []byte(bound))
	}
	return d.lookUp(d.partLabels)
}
