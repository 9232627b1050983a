package metric

import "pulseboard/aggregate"

// IsValue reports whether the event is a value that counts by itself, and nothing else.
func (e *Event) IsValue() bool { return e.Kind <= Delta && !e.Point && !e.Stale && e.Histogram == nil }

// AddTo adds the event, which counts at that time, epoch ms, to the accumulator of its series and slice.
func (e *Event) AddTo(a *aggregate.Acc, needs aggregate.Needs, at int64) {
	switch {
	case e.Stale:
		a.AddStale(at)
	case e.Kind <= Delta && !e.Point && e.Histogram != nil:
		a.AddHistogram(needs, e.Histogram, at)
	case e.IsValue():
		a.AddFor(needs, e.Value, at)
	default:
		a.AddSample(aggregate.Sample{Time: at, Nanos: e.Nanos, Start: e.Start, Value: e.Value, Flags: e.Flags(), Needs: needs, Histogram: e.Histogram})
	}
}

// Flags are those of the event as a sample.
func (e *Event) Flags() (f aggregate.Flags) {
	switch e.Kind {
	case Plain, Delta:
	case Cumulative:
		f |= aggregate.Cumulative
	case Gauge:
		f |= aggregate.Gauge
	}
	if e.Point {
		f |= aggregate.Point
	}
	if e.Histogram != nil {
		f |= aggregate.Binned
	}
	return f
}
