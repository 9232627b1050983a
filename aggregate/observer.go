package aggregate

// Observer learns which metrics a Store holds, as the catalog of metrics needs it. All of it is called by the store's
// caller, within its calls.
type Observer interface {
	// Observe returns what the series and events of a metric are reported to, from when the store takes it up.
	Observe(metric string) MetricObserver
}

// MetricObserver learns what a Store holds of one metric.
type MetricObserver interface {
	// Add reports events of a slice, in any series. It is called for each accumulator that is merged, and must not keep it.
	Add(slice int64, a *Acc)
	// AddSeries and RemoveSeries report series by their tags, which may be Other.
	AddSeries(tags string)
	RemoveSeries(tags string)
	// Swept is called after each sweep; held is false when the store does not hold the metric any more.
	Swept(held bool)
	// Bytes is what the observer takes for the metric. It counts as the store's.
	Bytes() int64
}

// unobserved is the observer of a store without one.
type unobserved struct{}

func (unobserved) Observe(string) MetricObserver { return unobserved{} }
func (unobserved) Add(int64, *Acc)               {}
func (unobserved) AddSeries(string)              {}
func (unobserved) RemoveSeries(string)           {}
func (unobserved) Swept(bool)                    {}
func (unobserved) Bytes() int64                  { return 0 }
