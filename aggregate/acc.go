package aggregate

// Acc is the accumulator of one series over one slice, or over any union of
// slices. The zero value is that of no events.
type Acc struct {
	Count  int64
	Sum    float64
	Min    float64
	Max    float64
	Newest int64 // Event time of the newest event, epoch ms.

	// What only some queries need, of as many events as were added with the need: none while no query
	// wants it. It belongs to this Acc alone.
	Sketch  *Sketch  // The values, for percentiles.
	Moments *Moments // For the standard deviation.
}

// Needs says what accumulators must hold besides count, sum, min, max and newest.
type Needs uint8

// What is needed by some aggregations.
const (
	NeedSketch Needs = 1 << iota
	NeedMoments
)

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
	if n&NeedSketch != 0 {
		if a.Sketch == nil {
			a.Sketch = new(Sketch)
		}
		a.Sketch.Add(value)
	}
	if n&NeedMoments != 0 {
		if a.Moments == nil {
			a.Moments = new(Moments)
		}
		a.Moments.Add(value)
	}
}

// Merge adds the events of b to a. b is not changed, and shares nothing with a afterwards.
func (a *Acc) Merge(b *Acc) {
	if b.Count == 0 {
		return
	}
	if b.Sketch != nil || b.Moments != nil {
		a.mergeNeeded(b)
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

func (a *Acc) mergeNeeded(b *Acc) {
	if b.Sketch != nil {
		if a.Sketch == nil {
			a.Sketch = new(Sketch)
		}
		a.Sketch.Merge(b.Sketch)
	}
	if b.Moments != nil {
		if a.Moments == nil {
			a.Moments = new(Moments)
		}
		a.Moments.Merge(b.Moments)
	}
}

// Reset makes a the accumulator of no events, and keeps the memory of what it holds by need.
func (a *Acc) Reset() {
	if a.Sketch != nil {
		a.Sketch.Reset()
	}
	if a.Moments != nil {
		*a.Moments = Moments{}
	}
	*a = Acc{Sketch: a.Sketch, Moments: a.Moments}
}

// Has reports whether what is needed holds every event: only then is what needs it whole.
func (a *Acc) Has(n Needs) bool {
	return (n&NeedSketch == 0 || a.Sketch.Count() == a.Count) && (n&NeedMoments == 0 || a.Moments.count() == a.Count)
}

// needed is how many bytes a holds besides itself.
func (a *Acc) needed() int64 {
	if a.Moments == nil {
		return int64(a.Sketch.Size())
	}
	return int64(a.Sketch.Size()) + momentsSize
}
