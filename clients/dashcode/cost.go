package dashcode

// Cost is what dashboards ask of the pipeline.
type Cost struct {
	Dashboards int `json:"dashboards"`
	Widgets    int `json:"widgets"`
	// MetricKeys are the distinct queries: each is evaluated once per refresh.
	MetricKeys int `json:"metric_keys"`
	// Selectors are the distinct metric, filter and group_by: each has a tree
	// of slices per resulting series.
	Selectors int `json:"selectors"`
	// Slices is the sum of the slices in the longest window of each selector,
	// the size of its trees with one series each.
	Slices int64 `json:"slices"`
}

// Cost adds up the dashboards; what they share counts once.
func (s Set) Cost(sliceMs int64) Cost {
	c := Cost{Dashboards: len(s.Items)}
	keys, windows := make(map[string]bool), make(map[string]int)
	for _, i := range s.Items {
		for _, w := range i.Dashboard.Widgets {
			c.Widgets++
			q := w.Query()
			keys[q.Key()] = true
			windows[q.Selector()] = max(windows[q.Selector()], q.WindowSeconds)
		}
	}
	c.MetricKeys, c.Selectors = len(keys), len(windows)
	for _, seconds := range windows {
		c.Slices += (int64(seconds)*1000 + sliceMs - 1) / sliceMs
	}
	return c
}
