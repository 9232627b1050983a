package aggregate

// Acc is the accumulator of one series over one slice, or over any union of
// slices. The zero value is that of no events.
type Acc struct {
	Count  int64
	Sum    float64
	Min    float64
	Max    float64
	Newest int64 // Event time of the newest event, epoch ms.
	More   *More // What only some queries need; nil while none does. It belongs to this Acc alone.
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

// AddFor counts one event, also in what is needed.
func (a *Acc) AddFor(n Needs, value float64, eventTime int64) {
	a.Add(value, eventTime)
	if n &^= NeedGrowth; n != 0 {
		a.more().add(n, value, eventTime)
	}
}

// Merge adds the events of b to a. b is not changed, and shares nothing with a afterwards.
func (a *Acc) Merge(b *Acc) {
	if b.More != nil && b.More.holds() != 0 {
		a.more().merge(b.More)
		a.bound()
	}
	if b.Count == 0 {
		return
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

func (a *Acc) more() *More {
	if a.More == nil {
		a.More = new(More)
	}
	return a.More
}

// Reset makes a the accumulator of no events, and keeps the memory of what it holds by need.
func (a *Acc) Reset() {
	if a.More != nil {
		a.More.reset()
	}
	*a = Acc{More: a.More}
}

// Has reports whether what is needed holds every event: only then is what needs it whole.
func (a *Acc) Has(n Needs) bool {
	n &^= NeedGrowth
	return n == 0 || a.Count == 0 || a.More.has(n, a.Count)
}

// Error is how far, relatively, percentiles and bins may be off since coarse histograms are in them; 0 = by no more than SketchError.
func (a *Acc) Error() float64 {
	if a.More.holds()&NeedSketch == 0 || a.More.Sketch.Scale() == fineScale {
		return 0
	}
	return a.More.Sketch.Error()
}

// needed is how many bytes a holds besides itself.
func (a *Acc) needed() int64 {
	if a.More == nil {
		return 0
	}
	return a.More.size()
}
