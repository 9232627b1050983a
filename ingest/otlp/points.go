package otlp

import (
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

// dataPoint is one of any shape.
type dataPoint struct {
	at, start          int64 // Milliseconds,
	nanos              int32 // and nanoseconds after at.
	kind               metric.Kind
	value              float64
	hasValue, stale    bool
	count              uint64
	sum                float64
	min, max           float64
	hasSum             bool
	hasMin, hasMax     bool
	counts             []uint64
	bounds             []float64
	scale              int32
	zero               uint64
	threshold          float64
	positive, negative buckets
	quantiles          []quantile
}

// buckets are those of one sign.
type buckets struct {
	offset int32
	counts []uint64
}

type quantile struct{ quantile, value float64 }

// noRecordedValue is the flag of a data point that says that its series has ended.
const noRecordedValue = 1

// times are those of a data point as ours, at with the nanoseconds after it. A start that is before its time is so in milliseconds
// too, or it would not be known.
func times(startNano, timeNano uint64) (start, at int64, nanos int32) {
	const milli = 1_000_000
	start, at = int64(startNano/milli), int64(timeNano/milli)
	if start == at && startNano < timeNano {
		start--
	}
	return start, at, int32(timeNano % milli)
}

// dataPoint adds the events of a data point.
func (d *Decoder) dataPoint(text []byte, shape int32, kind metric.Kind) error {
	p := &d.point
	*p = dataPoint{
		kind: kind, counts: p.counts[:0], bounds: p.bounds[:0], quantiles: p.quantiles[:0],
		positive: buckets{counts: p.positive.counts[:0]}, negative: buckets{counts: p.negative.counts[:0]},
	}
	d.attributes, d.broken = nil, nil
	number := attributesOf(shape)
	var startNano, timeNano uint64
	f := protofields.Fields{Text: text}
	for d.takeAttributes(&f, number) && f.Err == nil {
		switch {
		case f.Number == 2:
			startNano = f.Bits
		case f.Number == 3:
			timeNano = f.Bits
		case shape == gaugePoints || shape == sumPoints:
			d.numberField(&f)
		case shape == histogramPoints:
			f.Err = d.histogramField(&f)
		case shape == exponentialPoints:
			f.Err = d.exponentialField(&f)
		case shape == summaryPoints:
			f.Err = d.summaryField(&f)
		}
	}
	if f.Err != nil {
		return f.Err
	}
	p.start, p.at, p.nanos = times(startNano, timeNano)
	switch shape {
	case histogramPoints:
		d.histogram(p)
	case exponentialPoints:
		d.exponential(p)
	case summaryPoints:
		d.summary(p)
	default:
		d.numberPoint(p)
	}
	return d.broken
}

// attributesOf is the number of the field of attributes that data points of a shape have.
func attributesOf(shape int32) protowire.Number {
	switch shape {
	case histogramPoints:
		return 9
	case exponentialPoints:
		return 1
	}
	return 7
}

// takeAttributes takes the attributes that stand before the next field of another kind, and reads that one, if there is one.
func (d *Decoder) takeAttributes(f *protofields.Fields, number protowire.Number) bool {
	for {
		if n := protofields.Leading(f.Text, number); n > 0 {
			if len(d.attributes) == 0 {
				d.attributes = f.Text[:n]
			} else { // They stand in several places, which no known sender does.
				d.joined = append(append(d.joined[:0], d.attributes...), f.Text[:n]...)
				d.attributes = d.joined
			}
			f.Text = f.Text[n:]
		}
		if !f.Next() {
			return false
		}
		if f.Number != number {
			return true
		}
		// Its tag is written in more bytes than it needs.
		d.joined = append(append(d.joined[:0], d.attributes...), protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), f.Bytes)...)
		d.attributes = d.joined
	}
}

func (d *Decoder) numberField(f *protofields.Fields) {
	p := &d.point
	switch f.Number {
	case 4:
		p.value, p.hasValue = f.Double(), true
	case 5:
		d.out.Exemplars++
	case 6:
		p.value, p.hasValue = float64(int64(f.Bits)), true
	case 8:
		p.stale = f.Bits&noRecordedValue != 0
	}
}

func (d *Decoder) histogramField(f *protofields.Fields) error {
	p := &d.point
	switch f.Number {
	case 4:
		p.count = f.Bits
	case 5:
		p.sum, p.hasSum = f.Double(), true
	case 6:
		f.Fixed64s(func(v uint64) { p.counts = append(p.counts, v) })
		return f.Err
	case 7:
		f.Doubles(func(v float64) { p.bounds = append(p.bounds, v) })
		return f.Err
	case 8:
		d.out.Exemplars++
	case 10:
		p.stale = f.Bits&noRecordedValue != 0
	case 11:
		p.min, p.hasMin = f.Double(), true
	case 12:
		p.max, p.hasMax = f.Double(), true
	}
	return nil
}

func (d *Decoder) exponentialField(f *protofields.Fields) error {
	p := &d.point
	switch f.Number {
	case 4:
		p.count = f.Bits
	case 5:
		p.sum, p.hasSum = f.Double(), true
	case 6:
		p.scale = int32(protowire.DecodeZigZag(f.Bits))
	case 7:
		p.zero = f.Bits
	case 8:
		return p.positive.read(f.Bytes)
	case 9:
		return p.negative.read(f.Bytes)
	case 10:
		p.stale = f.Bits&noRecordedValue != 0
	case 11:
		d.out.Exemplars++
	case 12:
		p.min, p.hasMin = f.Double(), true
	case 13:
		p.max, p.hasMax = f.Double(), true
	case 14:
		p.threshold = f.Double()
	}
	return nil
}

func (b *buckets) read(text []byte) error {
	f := protofields.Fields{Text: text}
	for f.Next() && f.Err == nil {
		switch f.Number {
		case 1:
			b.offset = int32(protowire.DecodeZigZag(f.Bits))
		case 2:
			f.Varints(func(v uint64) {
				if len(b.counts) <= aggregate.MaxBins { // Of more it is refused.
					b.counts = append(b.counts, v)
				}
			})
		}
	}
	return f.Err
}

func (d *Decoder) summaryField(f *protofields.Fields) error {
	p := &d.point
	switch f.Number {
	case 4:
		p.count = f.Bits
	case 5:
		p.sum, p.hasSum = f.Double(), true
	case 6:
		var q quantile
		inner := protofields.Fields{Text: f.Bytes}
		for inner.Next() {
			switch inner.Number {
			case 1:
				q.quantile = inner.Double()
			case 2:
				q.value = inner.Double()
			}
		}
		p.quantiles = append(p.quantiles, q)
		return inner.Err
	case 8:
		p.stale = f.Bits&noRecordedValue != 0
	}
	return nil
}

// numberPoint adds a point of a sum or a gauge.
func (d *Decoder) numberPoint(p *dataPoint) {
	if !p.stale && !p.hasValue {
		d.refuse(metric.CodeValueMissing, "the data point has no value, and no flag that says so")
		return
	}
	d.add(p, p.kind, "", "", nil, p.value)
}

// add adds a number of a data point, or the end of its series.
func (d *Decoder) add(p *dataPoint, kind metric.Kind, ending, key string, tag []byte, value float64) {
	switch {
	case p.stale:
		d.event(p, d.series(ending, key, tag), metric.Event{Stale: true})
	case math.IsNaN(value) || math.IsInf(value, 0):
		d.out.NotNumbers++
	default:
		d.event(p, d.series(ending, key, tag), metric.Event{Value: value, Kind: kind, Start: p.start})
	}
}

// event adds an event of a series, unless another metric of the request has one of the same time: only one of both would count.
func (d *Decoder) event(p *dataPoint, s *entry, e metric.Event) {
	if s.metric >= d.first && s.metric != d.number && s.at == p.at && s.nanos == p.nanos {
		d.out.Refuse(s.Metric, metric.Fault{
			Code: metric.CodePointInvalid,
			Detail: "another metric of the request has the same name, tags and time: if their resources or scopes differ in an attribute, such as " +
				"process.pid or otel.scope.name, name it in --otlp-attributes, and it becomes a tag",
		})
		return
	}
	s.metric, s.at, s.nanos, e.Nanos = d.number, p.at, p.nanos, p.nanos
	d.out.Add(&s.Series, e, p.at)
}

// histogram adds one with bounds as the series that it would be as a classic one of Prometheus.
func (d *Decoder) histogram(p *dataPoint) {
	if fault := p.checkBounds(); fault != "" {
		d.refuse(metric.CodeHistogramInvalid, fault)
		return
	}
	if len(p.counts) == 0 {
		p.counts = append(p.counts, p.count)
		for range p.bounds { // Of one that has ended.
			p.counts = append(p.counts, 0)
		}
	}
	total := uint64(0)
	for i, count := range p.counts {
		total += count
		bound := math.Inf(1)
		if i < len(p.bounds) {
			bound = p.bounds[i]
		}
		d.bound = points.AppendBound(d.bound[:0], bound)
		d.add(p, p.kind, "_bucket", "le", d.bound, float64(total))
	}
	d.add(p, p.kind, "_count", "", nil, float64(p.count))
	if p.hasSum || p.stale {
		d.add(p, p.kind, "_sum", "", nil, p.sum)
	}
	if p.hasMin {
		d.add(p, metric.Gauge, "_min", "", nil, p.min)
	}
	if p.hasMax {
		d.add(p, metric.Gauge, "_max", "", nil, p.max)
	}
}

// checkBounds says what is wrong with the bounds of a histogram, "" = nothing.
func (p *dataPoint) checkBounds() string {
	if n := len(p.bounds); n >= points.MaxBounds {
		return fmt.Sprintf("it has %d bounds: at most %d are allowed", n, points.MaxBounds-1)
	}
	if n := len(p.counts); n != len(p.bounds)+1 && (n > 0 || len(p.bounds) > 0 && !p.stale) {
		return fmt.Sprintf("it has %d bounds and %d counts: of counts it must have one more", len(p.bounds), n)
	}
	for i, bound := range p.bounds {
		if math.IsNaN(bound) || math.IsInf(bound, 0) || i > 0 && bound <= p.bounds[i-1] {
			return "its bounds must be numbers, each above the one before"
		}
	}
	return ""
}

// summary adds one as Prometheus has it.
func (d *Decoder) summary(p *dataPoint) {
	for _, q := range p.quantiles {
		d.bound = points.AppendBound(d.bound[:0], q.quantile)
		d.add(p, metric.Gauge, "", "quantile", d.bound, q.value)
	}
	d.add(p, p.kind, "_count", "", nil, float64(p.count))
	d.add(p, p.kind, "_sum", "", nil, p.sum)
}

// exponential adds an exponential histogram. One of more bins than an event may have is told in wider ones.
func (d *Decoder) exponential(p *dataPoint) {
	s := d.series("", "", nil)
	switch {
	case p.stale:
		d.event(p, s, metric.Event{Stale: true})
		return
	case math.IsNaN(p.sum) || math.IsInf(p.sum, 0):
		d.out.NotNumbers++
		return
	case !p.hasSum && p.count > 0:
		d.refuse(metric.CodeHistogramInvalid, "it has no sum, which avg and sum need")
		return
	case p.scale < aggregate.MinScale || p.scale > aggregate.MaxScale:
		d.refuse(metric.CodeHistogramInvalid, fmt.Sprintf("its scale is %d; those from %d to %d are known", p.scale, aggregate.MinScale, aggregate.MaxScale))
		return
	case max(len(p.positive.counts), len(p.negative.counts)) > aggregate.MaxBins:
		d.refuse(metric.CodeHistogramInvalid, fmt.Sprintf("it has more than %d bins of one sign", aggregate.MaxBins))
		return
	}
	p.positive.trim()
	p.negative.trim()
	shift := 0
	for p.positive.bins(shift)+p.negative.bins(shift) > wire.MaxSampleBins && int(p.scale)-shift > aggregate.MinScale {
		shift++
	}
	if n := p.positive.bins(shift) + p.negative.bins(shift); n > wire.MaxSampleBins {
		d.refuse(metric.CodeHistogramInvalid, fmt.Sprintf("it has %d bins; at most %d are allowed", n, wire.MaxSampleBins))
		return
	}
	h := aggregate.Histogram{
		Scale: int8(int(p.scale) - shift), Zero: p.zero, ZeroThreshold: p.threshold, Sum: p.sum, Count: p.count,
		Positive: d.wider(&p.positive, shift), Negative: d.wider(&p.negative, shift),
	}
	if p.hasMin && p.hasMax && p.count > 0 {
		h.Min, h.Max, h.HasExtremes = p.min, p.max, true
	}
	if err := h.Validate(); err != nil {
		d.refuse(metric.CodeHistogramInvalid, err.Error())
		return
	}
	d.histograms = append(d.histograms, h)
	d.event(p, s, metric.Event{Histogram: &d.histograms[len(d.histograms)-1], Kind: p.kind, Start: p.start})
}

// trim leaves out the bins at both ends that have no values.
func (b *buckets) trim() {
	for n := len(b.counts); n > 0 && b.counts[n-1] == 0; n-- {
		b.counts = b.counts[:n-1]
	}
	first := 0
	for first < len(b.counts) && b.counts[first] == 0 {
		first++
	}
	b.offset += int32(first)
	b.counts = slices.Delete(b.counts, 0, first)
}

// bins is how many bins there are that are 2^shift times as wide.
func (b *buckets) bins(shift int) int {
	if len(b.counts) == 0 {
		return 0
	}
	low, high := int64(b.offset), int64(b.offset)+int64(len(b.counts))-1
	return int(high>>shift - low>>shift + 1)
}

// wider returns bins that are 2^shift times as wide.
func (d *Decoder) wider(b *buckets, shift int) aggregate.Bins {
	n := b.bins(shift)
	if n == 0 {
		return aggregate.Bins{}
	}
	begin, first := len(d.counts), int64(b.offset)>>shift
	d.counts = append(d.counts, make([]uint64, n)...) // Which allocates nothing.
	wide := d.counts[begin:]
	for i, count := range b.counts {
		wide[(int64(b.offset)+int64(i))>>shift-first] += count
	}
	return aggregate.Bins{Offset: int32(first), Counts: slices.Clip(wide)}
}
