package aggregate

// maximum of no events is absent.
func maximum(a *Acc) (float64, bool) { return a.Max, a.Count > 0 }
