package configsvc

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
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

// demand is the queries of one dashboard.
type demand struct {
	wants   []want
	ids     []string // Of the widgets, one for each of wants.
	by      string   // The token that changed it last.
	widgets int
	own     bool // Of a program, see OwnTags.
}

type want struct {
	key           string
	refreshMs     int64
	windowSeconds int
}

// use counts the widgets of a query, by refresh interval and by dashboard.
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
			// The next call reads from the same revision again, and forgets the document first.
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

// add adds a document, which may be older than the rules: a refresh interval
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

// widgetsOf returns the widgets of each of these queries.
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

// shortestWindow returns the shortest window of a widget, in seconds, 0 = there is
// none. Dashboards that programs keep for themselves, such as the canary's, do not count.
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

// Query returns the query of the widget.
func (w Widget) Query() metric.Query {
	return metric.Query{
		Metric: w.Metric, Aggregation: w.Aggregation, WindowSeconds: w.WindowSeconds,
		DelaySeconds: w.DelaySeconds, First: w.First, Filter: w.Filter, GroupBy: w.GroupBy,
	}.Normal()
}

// RefreshMs returns the refresh interval in milliseconds.
func (w Widget) RefreshMs() int64 { return int64(math.Round(w.RefreshSeconds * 1000)) }

// OwnTags begins the tags of dashboards that programs keep for themselves: drafts of
// the editor ("pulseboard:draft", web/src/pages/edit/scratch.ts), and that of the
// canary. Lists leave them out unless such a tag is given.
const OwnTags = "pulseboard:"

func isOwn(tag string) bool { return strings.HasPrefix(tag, OwnTags) }

func (d *Dashboard) own() bool { return slices.ContainsFunc(d.Tags, isOwn) }

// ownTags is own for the tags as the database keeps them.
func ownTags(tags string) bool { return strings.Contains(tags, "\n"+OwnTags) }
