package textbook

import (
	"cmp"
	"encoding/binary"
	"math"

	"pulseboard/aggregate"
)

// Some values are no sum of what events amount to: by how much a counter or a histogram grew hangs on the sample before, also on one
// before the window, the last value on what was last, and a point counts once. So their events are kept, samples also in the
// windows that begin after them (timeFn), and what they amount to is computed when a window is over, whose end is known then.

// whole is what the events of a group amount to in the window [start, end), epoch ms; ok is false where it has none.
func (a *Accumulator) whole(needs aggregate.Needs, start, end int64) (acc aggregate.Acc, ok bool) {
	acc = a.Acc
	series := make(map[string][]Sample)
	for _, v := range a.Kept {
		series[v.Series] = append(series[v.Series], v)
	}
	more := aggregate.More{Stand: new(aggregate.Standing)}
	if acc.More != nil {
		more.Sketch, more.Moments = acc.More.Sketch, acc.More.Moments
	}
	acc.More = &more
	for _, samples := range series {
		addSeries(&acc, samples, needs, start, end)
	}
	return acc, acc.Count > 0
}

// addSeries adds one series.
func addSeries(acc *aggregate.Acc, samples []Sample, needs aggregate.Needs, start, end int64) {
	type point struct {
		time  int64
		nanos int32
		kind  aggregate.Flags
	}
	points := make(map[point]Sample) // Of those of one time the greatest.
	var counter aggregate.Samples
	stale, last := int64(math.MinInt64), Sample{Time: math.MinInt64}
	var counted []Sample
	for _, v := range samples {
		if v.Stale {
			stale = max(stale, v.Time)
			continue
		}
		if cmp.Or(cmp.Compare(v.Time, last.Time), cmp.Compare(v.Nanos, last.Nanos), cmp.Compare(v.Value, last.Value)) > 0 {
			last = v
		}
		if v.Flags&aggregate.Cumulative != 0 {
			counter.Add(aggregate.Sample{Time: v.Time, Nanos: v.Nanos, Start: v.Start, Value: v.Value, Flags: v.Flags, Histogram: v.histogram()})
			if v.Histogram != nil {
				continue // Only by how much it grew counts.
			}
		}
		if v.Flags&aggregate.Point == 0 {
			counted = append(counted, v)
		} else if p, known := points[point{v.Time, v.Nanos, v.Flags}]; !known || v.isAbove(&p) {
			points[point{v.Time, v.Nanos, v.Flags}] = v
		}
	}
	for _, v := range points {
		counted = append(counted, v)
	}
	for _, v := range counted {
		if v.Time < start || v.Time >= end {
			continue
		}
		v.addTo(acc, needs)
		if v.Flags&(aggregate.Cumulative|aggregate.Gauge) != 0 {
			acc.More.Marked.Still.Count++
			acc.More.Marked.Still.Sum += v.Value
		}
	}
	g := aggregate.Joins{Lookback: aggregate.Lookback}.Growth(counter, start, end, func(n *aggregate.Sample, since *aggregate.Histogram) {
		acc.AddHistogram(needs, since, n.Time)
	})
	if needs&aggregate.NeedGrowth != 0 {
		acc.More.Growth.Sum += g.Sum
		acc.More.Growth.First += g.First
		acc.More.Growth.Unknown += g.Unknown
	}
	if stale <= last.Time {
		stand(acc.More.Stand, &last, start, end)
	}
}

// stand notes a series whose newest sample is last, and which has not ended.
func stand(s *aggregate.Standing, last *Sample, start, end int64) {
	s.Alive = s.Alive || last.Time < end && last.Time >= end-aggregate.Lookback
	if last.Time >= start {
		s.Add(last.Value, last.Time, last.Nanos)
	}
}

// isAbove reports whether a point has the greater value of two.
func (v *Sample) isAbove(o *Sample) bool {
	if v.Histogram == nil {
		return v.Value > o.Value
	}
	return v.histogram().Compare(o.histogram()) > 0
}

// histogram is that of a sample, nil where it has none.
func (v *Sample) histogram() *aggregate.Histogram {
	if v.Histogram == nil {
		return nil
	}
	r := aggregate.Reader{Rest: v.Histogram}
	h := r.Histogram()
	return &h
}

// addTo counts a sample by its own value.
func (v *Sample) addTo(acc *aggregate.Acc, needs aggregate.Needs) {
	if h := v.histogram(); h != nil {
		acc.AddHistogram(needs, h, v.Time)
	} else {
		acc.AddFor(needs, v.Value, v.Time)
	}
}

func (v *Sample) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v.Series)))
	b = append(b, v.Series...)
	for _, n := range [...]int64{v.Time, int64(v.Nanos), v.Start, int64(math.Float64bits(v.Value)), int64(v.Needs), int64(v.Flags), int64(v.Window)} {
		b = binary.AppendVarint(b, n)
	}
	stale := byte(0)
	if v.Stale {
		stale = 1
	}
	b = binary.AppendUvarint(append(b, stale), uint64(len(v.Histogram)))
	return append(b, v.Histogram...)
}

func readSample(r *aggregate.Reader) (v Sample) {
	v.Series = r.Text()
	v.Time, v.Nanos, v.Start, v.Value = r.Varint(), int32(r.Varint()), r.Varint(), math.Float64frombits(uint64(r.Varint()))
	v.Needs, v.Flags, v.Window = aggregate.Needs(r.Varint()), aggregate.Flags(r.Varint()), int(r.Varint())
	v.Stale = r.Uvarint() == 1
	if h := r.Text(); h != "" {
		v.Histogram = []byte(h)
	}
	return v
}
