package aggregate

const (
	MaxSamples    = maxSamples
	MaxHistograms = maxHistograms
)

func (s *Samples) Bound() { s.bound() }

// AccOf is the accumulator of a series and slice.
func AccOf(t Table, slice int64, metric, tags string) *Acc {
	return t.Row(slice).Acc(NewName(metric, tags))
}
