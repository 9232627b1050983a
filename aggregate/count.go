package aggregate

// count of no events is 0.
func count(a *Acc) (float64, bool) { return float64(a.Count), true }
