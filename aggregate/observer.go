package aggregate

// Observer learns which metrics a Store holds, as the catalog of metrics needs it. All of it is called by the store's
// caller, within its calls.
type Observer interface {
	// Observe returns what the series and events of a metric are reported to, from when the store takes it up.
	Observe(metric string) MetricObserver
}

// MetricObserver learns what a Store holds of one metric.
type MetricObserver interface {
	// Add reports events of a slice, in any series, and of what kinds they are. It is called for each accumulator that is merged, and
	// must not keep it.
	Add(slice int64, kinds Kinds, a *Acc)
	// AddSeries and RemoveSeries report series by their tags, which may be Other.
	AddSeries(tags string)
	RemoveSeries(tags string)
	// Say reports what a sender says of the metric in a slice of pipeline time: the unit of its values, and what it is; "" = nothing.
	Say(unit, help string, slice int64)
	// State and Restore are what has been said, to be kept in a history.
	State() []byte
	Restore(state []byte)
	// Swept is called after each sweep; held is false when the store does not hold the metric any more.
	Swept(held bool)
	// Bytes is what the observer takes for the metric. It counts as the store's.
	Bytes() int64
}

// Kinds says of what kinds events are.
type Kinds uint8

// The kinds of events.
const (
	KindEvents     Kinds = 1 << iota // Measurements by themselves, and deltas.
	KindCounters                     // What counters stand at.
	KindGauges                       // What something stands at.
	KindHistograms                   // Histograms that count since they began.
)

// kinds looks at some samples, of which a series mostly has one kind.
func (a *Acc) kinds() (k Kinds) {
	if a.More == nil || a.More.Marked.isEmpty() {
		return KindEvents
	}
	m := &a.More.Marked
	if a.Count > m.Still.Count {
		k |= KindEvents
	}
	samples := int64(0)
	for i := range m.Samples[:min(4, len(m.Samples))] {
		switch f := m.Samples[i].Flags; {
		case f.isBinned():
			k |= KindHistograms
		case f&Cumulative != 0:
			k |= KindCounters
			samples++
		case f&Gauge != 0:
			k |= KindGauges
		default:
			k |= KindEvents
		}
	}
	if m.Still.Count > samples && k&KindCounters == 0 {
		k |= KindGauges
	}
	return k
}

// unobserved is the observer of a store without one.
type unobserved struct{}

func (unobserved) Observe(string) MetricObserver { return unobserved{} }
func (unobserved) Add(int64, Kinds, *Acc)        {}
func (unobserved) AddSeries(string)              {}
func (unobserved) RemoveSeries(string)           {}
func (unobserved) Say(string, string, int64)     {}
func (unobserved) State() []byte                 { return nil }
func (unobserved) Restore([]byte)                {}
func (unobserved) Swept(bool)                    {}
func (unobserved) Bytes() int64                  { return 0 }
