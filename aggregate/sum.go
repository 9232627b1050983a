package aggregate

// sum of no events is 0. A sum that overflowed is infinite, which a result shows as null.
func sum(a *Acc) (float64, bool) { return a.Sum, true }
