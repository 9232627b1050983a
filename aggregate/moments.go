package aggregate

// Moments are what the standard deviation of values needs: how many, their mean, and the sum of the squares of
// their distances from it. Squares of the values themselves are never summed: of large values that are close to
// each other nothing would be left of the difference (Welford, 1962; merged as by Chan, Golub and LeVeque, 1979).
type Moments struct {
	Count   int64
	Mean    float64
	Squares float64
}

// Add counts one value.
func (m *Moments) Add(v float64) {
	m.Count++
	d := v - m.Mean
	m.Mean += d / float64(m.Count)
	m.Squares += d * (v - m.Mean)
}

// Merge adds the values of o.
func (m *Moments) Merge(o *Moments) {
	switch {
	case o.Count == 0:
		return
	case m.Count == 0:
		*m = *o
		return
	}
	a, b := float64(m.Count), float64(o.Count)
	d := o.Mean - m.Mean
	m.Count += o.Count
	m.Mean += d * (b / (a + b))
	m.Squares += o.Squares + d*d*(a*b/(a+b))
}
