package aggregate

// Acc is the accumulator of one series over one slice, or over any union of
// slices. The zero value is that of no events.
type Acc struct {
	Count  int64
	Sum    float64
	Min    float64
	Max    float64
	Newest int64 // Event time of the newest event, epoch ms.
}

// Add counts one event.
func (a *Acc) Add(value float64, eventTime int64) {
	a.Merge(&Acc{Count: 1, Sum: value, Min: value, Max: value, Newest: eventTime})
}

// Merge adds the events of b to a.
func (a *Acc) Merge(b *Acc) {
	switch {
	case b.Count == 0:
		return
	case a.Count == 0:
		*a = *b
		return
	}
	a.Count += b.Count
	a.Sum += b.Sum
	a.Min = min(a.Min, b.Min)
	a.Max = max(a.Max, b.Max)
	a.Newest = max(a.Newest, b.Newest)
}

// Extract computes one aggregation. It returns false where there is no value:
// the average, the minimum and the maximum of no events.
type Extract func(a *Acc) (float64, bool)

// Extractor returns the aggregation of that name.
func Extractor(name string) (Extract, bool) {
	switch name {
	case "sum":
		return sum, true
	case "avg":
		return avg, true
	case "max":
		return maximum, true
	case "min":
		return minimum, true
	case "count":
		return count, true
	}
	return nil, false
}
