package aggregate

// Acc is the accumulator of one series over one slice, or over any union of
// slices. The zero value is that of no events.
type Acc struct {
	Count  int64
	Sum    float64
	Min    float64
	Max    float64
	Newest int64 // Event time of the newest event, epoch ms.

	// Sketch holds the values for percentiles, of as many events as were added
	// with AddSketched: none while no query wants them. It belongs to this Acc alone.
	Sketch *Sketch
}

// Add counts one event.
func (a *Acc) Add(value float64, eventTime int64) {
	if a.Count == 0 {
		a.Count, a.Sum, a.Min, a.Max, a.Newest = 1, value, value, value, eventTime
		return
	}
	a.Count++
	a.Sum += value
	a.Min = min(a.Min, value)
	a.Max = max(a.Max, value)
	a.Newest = max(a.Newest, eventTime)
}

// AddSketched counts one event, and its value for percentiles.
func (a *Acc) AddSketched(value float64, eventTime int64) {
	a.Add(value, eventTime)
	if a.Sketch == nil {
		a.Sketch = new(Sketch)
	}
	a.Sketch.Add(value)
}

// Merge adds the events of b to a. b is not changed, and shares nothing with a afterwards.
func (a *Acc) Merge(b *Acc) {
	if b.Count == 0 {
		return
	}
	if b.Sketch != nil {
		if a.Sketch == nil {
			a.Sketch = new(Sketch)
		}
		a.Sketch.Merge(b.Sketch)
	}
	if a.Count == 0 {
		a.Count, a.Sum, a.Min, a.Max, a.Newest = b.Count, b.Sum, b.Min, b.Max, b.Newest
		return
	}
	a.Count += b.Count
	a.Sum += b.Sum
	a.Min = min(a.Min, b.Min)
	a.Max = max(a.Max, b.Max)
	a.Newest = max(a.Newest, b.Newest)
}

// Reset makes a the accumulator of no events, and keeps the memory of its sketch.
func (a *Acc) Reset() {
	s := a.Sketch
	if s != nil {
		s.Reset()
	}
	*a = Acc{Sketch: s}
}

// Sketched reports whether the sketch holds every event: only then is a percentile whole.
func (a *Acc) Sketched() bool { return a.Sketch.Count() == a.Count }
