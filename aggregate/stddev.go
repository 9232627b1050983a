package aggregate

import "math"

// stddev is that of the population, of all events together: 0 of one event, absent of none.
func stddev(a *Acc) (float64, bool) {
	n := a.Moments.count()
	if n == 0 {
		return 0, false
	}
	return math.Sqrt(a.Moments.Squares / float64(n)), true
}
