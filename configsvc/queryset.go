package configsvc

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"pulseboard/charts"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/wire"
)

// derived is what Redis must hold: a function of the dashboards and the rules,
// kept up to date change by change.
type derived struct {
	rules Rules

	mu       sync.Mutex
	revision int64 // Of the database, up to which this is.
	demands  map[string]*demand
	uses     map[string]*use // By metric key.
	widgets  int
	// What Redis must hold, entries by metric key and views by dashboard, and what of
	// it changed since the last call of done.
	queries, dashboards               map[string]string
	changedQueries, changedDashboards map[string]bool
}

// demand is what one dashboard wants.
type demand struct {
	wants   []want
	ids     []string // Of the widgets that want them.
	by      string   // The token that changed it last.
	widgets int
	own     bool // Of a program, see OwnTags.
}

type want struct {
	key           string
	refreshMs     int64
	windowSeconds int
}

// use counts the widgets that want a query, by refresh interval.
type use struct {
	query      metric.Query
	refreshMs  map[int64]int
	dashboards map[string]int // By id.
}

func newDerived(r Rules) *derived {
	return &derived{
		rules: r, demands: make(map[string]*demand), uses: make(map[string]*use),
		queries: make(map[string]string), dashboards: make(map[string]string),
		changedQueries: make(map[string]bool), changedDashboards: make(map[string]bool),
	}
}

// apply follows the database, and returns the ids of widgets in the changed
// dashboards that the pipeline cannot serve.
func (d *derived) apply(c Changes) (left []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range c.Deleted {
		d.forget(id)
	}
	for _, doc := range c.Dashboards {
		d.forget(doc.ID)
		unserved, err := d.add(doc, c.By[doc.ID])
		if err != nil {
			// Read again from here on: nothing of it is left half done that matters.
			return left, err
		}
		left = append(left, unserved...)
	}
	for key := range d.changedQueries {
		if err := d.encode(key); err != nil {
			return left, err
		}
	}
	d.revision = c.Revision
	return left, nil
}

func (d *derived) forget(id string) {
	b := d.demands[id]
	if b == nil {
		return
	}
	for _, w := range b.wants {
		u := d.uses[w.key]
		if u.refreshMs[w.refreshMs]--; u.refreshMs[w.refreshMs] == 0 {
			delete(u.refreshMs, w.refreshMs)
		}
		if u.dashboards[id]--; u.dashboards[id] == 0 {
			delete(u.dashboards, id)
		}
		if len(u.refreshMs) == 0 {
			delete(d.uses, w.key)
		}
		d.changedQueries[w.key] = true
	}
	d.widgets -= b.widgets
	delete(d.demands, id)
	delete(d.dashboards, id)
	d.changedDashboards[id] = true
}

// add takes a document over, which may be older than the rules: a refresh interval
// is raised to today's slice; a window beyond today's limit has no query, and the
// ids of widgets with such windows are returned.
func (d *derived) add(doc Dashboard, by string) (left []string, err error) {
	b := &demand{widgets: len(doc.Widgets), own: doc.own(), by: by}
	view := wire.View{Version: doc.Version, Widgets: make([]wire.WidgetView, 0, len(doc.Widgets))}
	for _, v := range doc.Variables {
		view.Variables = append(view.Variables, wire.Variable{Name: v.Name, Tag: v.Tag})
	}
	for i := range doc.Widgets {
		w := &doc.Widgets[i]
		ms, q := d.rules.raise(w.RefreshMs()), w.Query()
		if q.Validate() != nil {
			left = append(left, w.ID)
			continue
		}
		shown := wire.NewWidgetView(w.ID, q, ms, charts.NeedsHistory(w.Display.Chart))
		view.Widgets = append(view.Widgets, shown)
		if w.WindowSeconds > d.rules.MaxWindowSeconds {
			left = append(left, w.ID)
			continue
		}
		key := shown.Key
		u := d.uses[key]
		if u == nil {
			u = &use{query: q, refreshMs: make(map[int64]int, 1), dashboards: make(map[string]int, 1)}
			d.uses[key] = u
		}
		u.refreshMs[ms]++
		u.dashboards[doc.ID]++
		b.ids = append(b.ids, w.ID)
		b.wants = append(b.wants, want{key, ms, q.WindowSeconds})
		d.changedQueries[key] = true
	}
	text, err := wire.EncodeView(view)
	if err != nil {
		return left, fmt.Errorf("dashboard %s: %w", doc.ID, err)
	}
	d.demands[doc.ID] = b
	d.widgets += b.widgets
	d.dashboards[doc.ID] = text
	d.changedDashboards[doc.ID] = true
	return left, nil
}

// encode brings the field of a query up to date.
func (d *derived) encode(key string) error {
	u := d.uses[key]
	if u == nil {
		delete(d.queries, key)
		return nil
	}
	text, err := wire.EncodeQuery(key, wire.QueryEntry{
		Query: u.query, RefreshMs: slices.Sorted(maps.Keys(u.refreshMs)), Owners: d.owners(u),
	})
	if err != nil {
		return err
	}
	d.queries[key] = text
	return nil
}

// owners are the dashboards that pay for a query, the first of them by id.
func (d *derived) owners(u *use) []wire.Owner {
	ids := slices.Sorted(maps.Keys(u.dashboards))
	owners := make([]wire.Owner, 0, min(len(ids), wire.MaxOwners))
	for _, id := range ids[:cap(owners)] {
		o := wire.Owner{Dashboard: id}
		if b := d.demands[id]; b != nil {
			o.Token = b.by
		}
		owners = append(owners, o)
	}
	return owners
}

// widgetsOf returns which widgets want each of these queries.
func (d *derived) widgetsOf(keys map[string]bool) map[string][]LimitedWidget {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string][]LimitedWidget)
	for _, id := range slices.Sorted(maps.Keys(d.demands)) {
		b := d.demands[id]
		for i, w := range b.wants {
			if keys[w.key] {
				out[w.key] = append(out[w.key], LimitedWidget{id, b.ids[i]})
			}
		}
	}
	return out
}

// reset forgets all dashboards, to begin again with the whole database.
func (d *derived) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.demands {
		d.forget(id)
	}
	d.revision = 0
}

// desired returns what Redis must hold. Only the goroutine that calls apply may
// read it.
func (d *derived) desired() (queries, dashboards registry.Desired) {
	return registry.Desired{Fields: d.queries, Changed: slices.Sorted(maps.Keys(d.changedQueries))},
		registry.Desired{Fields: d.dashboards, Changed: slices.Sorted(maps.Keys(d.changedDashboards))}
}

// shortestWindow returns the shortest window that people have a widget of, in seconds;
// 0 = they have none. What programs keep for themselves, such as the canary's, is not
// what operators of a pipeline want to know of.
func (d *derived) shortestWindow() (seconds int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.demands {
		if b.own {
			continue
		}
		for _, w := range b.wants {
			if seconds == 0 || w.windowSeconds < seconds {
				seconds = w.windowSeconds
			}
		}
	}
	return seconds
}

// done is called when Redis holds what is desired.
func (d *derived) done() {
	clear(d.changedQueries)
	clear(d.changedDashboards)
}

// has reports whether a dashboard has this query.
func (d *derived) has(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.uses[key] != nil
}
