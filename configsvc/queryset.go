package configsvc

import (
	"encoding/json"
	"fmt"
	"slices"

	"pulseboard/registry"
)

// published is what Redis must hold: a function of the dashboards and the rules.
type published struct {
	entries    map[string]registry.Entry
	dashboards map[string][]byte
	widgets    int
	left       []string // Ids of widgets that the pipeline cannot serve.
}

// derive computes what Redis must hold. Documents may be older than the rules:
// a refresh interval is raised to today's slice, also in the document, since
// it names the history that the gateway reads; a window beyond today's limit
// has no query.
func (r rules) derive(dashboards []Dashboard) (published, error) {
	p := published{entries: make(map[string]registry.Entry), dashboards: make(map[string][]byte, len(dashboards))}
	for _, d := range dashboards {
		d.Widgets = slices.Clone(d.Widgets)
		for i := range d.Widgets {
			w := &d.Widgets[i]
			ms := r.raise(w.RefreshMs())
			w.RefreshSeconds = float64(ms) / 1000
			q := w.Query()
			if w.WindowSeconds > r.maxWindowSeconds || q.Validate() != nil {
				p.left = append(p.left, w.ID)
				continue
			}
			key := q.Key()
			e := p.entries[key]
			e.Query = q
			if !slices.Contains(e.RefreshMs, ms) {
				e.RefreshMs = append(e.RefreshMs, ms)
				slices.Sort(e.RefreshMs)
			}
			p.entries[key] = e
		}
		p.widgets += len(d.Widgets)
		b, err := json.Marshal(d)
		if err != nil {
			return published{}, fmt.Errorf("cannot encode dashboard %s: %w", d.ID, err)
		}
		p.dashboards[d.ID] = b
	}
	return p, nil
}
