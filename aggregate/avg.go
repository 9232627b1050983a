package aggregate

// avg of no events is absent.
func avg(a *Acc) (float64, bool) {
	if a.Count == 0 {
		return 0, false
	}
	return a.Sum / float64(a.Count), true
}
