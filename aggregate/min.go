package aggregate

// minimum of no events is absent.
func minimum(a *Acc) (float64, bool) { return a.Min, a.Count > 0 }
