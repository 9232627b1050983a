package aggregate

const MaxSamples = maxSamples

func (s *Samples) Bound() int { return s.bound() }
