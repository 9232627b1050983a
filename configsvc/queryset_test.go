package configsvc

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/wire"
)

func TestDerive(t *testing.T) {
	one := mustDecode(t, `{"dashboard_id":"`+idA+`","widgets":[
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"group_by":["b","a"]},
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"group_by":["a","b"],"refresh_interval_seconds":5},
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"group_by":["b","a"],"display_config":{"chart":"stat"}},
		{"metric_name":"m","aggregation":"max","window_seconds":60,"filter":{"host":["y","x"]}}]}`)
	two := mustDecode(t, `{"dashboard_id":"`+idB+`","widgets":[
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"group_by":["a","b"],"refresh_interval_seconds":0.25},
		{"metric_name":"m","aggregation":"max","window_seconds":60,"filter":{"host":["x","y"]},"delay_seconds":10},
		{"metric_name":"m","aggregation":"rate","window_seconds":60,"first":"count","delay_seconds":10}]}`)
	p := derive(t, testRules(), one, two)
	got := map[string][]int64{}
	for key, e := range p.entries(t) {
		got[key] = e.RefreshMs
		if q, err := metric.ParseKey(key); err != nil || !reflect.DeepEqual(q, e.Query) {
			t.Errorf("%s holds %+v, %v", key, e.Query, err)
		}
	}
	want := map[string][]int64{
		"m:avg:60s by (a, b)":                     {250, 1000, 5000},
		`m:max:60s {host in ("x","y")}`:           {1000},
		`m:max:60s delay 10s {host in ("x","y")}`: {1000},
		"m:rate:60s delay 10s first count":        {1000},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	view, err := wire.DecodeView(p.dashboards[idA])
	if err != nil || len(view.Widgets) != 4 || view.Widgets[1].RefreshMs != 5000 || !slices.Equal(view.Widgets[0].GroupBy, []string{"a", "b"}) {
		t.Errorf("the view is %+v, %v", view, err)
	}
	if p.widgets != 7 || len(p.dashboards) != 2 {
		t.Errorf("%d widgets, %d dashboards", p.widgets, len(p.dashboards))
	}
	// The order of dashboards and widgets does not matter.
	slices.Reverse(one.Widgets)
	if q := derive(t, testRules(), two, one); !reflect.DeepEqual(p.queries, q.queries) {
		t.Errorf("in another order: %+v", q.queries)
	}
	if none := derive(t, testRules()); len(none.queries)+len(none.dashboards) > 0 {
		t.Errorf("of nothing: %+v", none.queries)
	}
}

func derive(t *testing.T, r Rules, dashboards ...Dashboard) *derived {
	t.Helper()
	d := newDerived(r)
	if _, err := d.apply(Changes{Revision: 1, Dashboards: dashboards}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *derived) entries(t *testing.T) map[string]wire.QueryEntry {
	t.Helper()
	out := map[string]wire.QueryEntry{}
	for key, text := range d.queries {
		var e wire.QueryEntry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		out[key] = e
	}
	return out
}

// Change by change it becomes what the whole would give, and names what changed.
func TestDeriveByChanges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	ids := []string{idA, idB, idC}
	has := map[string]Dashboard{}
	followed := newDerived(testRules())
	written := map[string]string{} // What a reader of the changed fields has.
	for step := range 500 {
		id := ids[random.IntN(len(ids))]
		var c Changes
		if _, there := has[id]; there && random.IntN(4) == 0 {
			delete(has, id)
			c.Deleted = []string{id}
		} else {
			var widgets []string
			for range random.IntN(4) {
				widgets = append(widgets, fmt.Sprintf(`{"metric_name":"m%d","aggregation":"avg","window_seconds":%d,"refresh_interval_seconds":%d}`,
					random.IntN(3), 1+random.IntN(2), 1+random.IntN(2)))
			}
			d := mustDecode(t, `{"dashboard_id":"`+id+`","title":"`+fmt.Sprint(step)+`","widgets":[`+strings.Join(widgets, ",")+`]}`)
			has[id] = d
			c.Dashboards = []Dashboard{d}
		}
		c.Revision = int64(step + 1)
		if _, err := followed.apply(c); err != nil {
			t.Fatal(err)
		}
		if random.IntN(3) == 0 {
			continue // Redis is away: what changed adds up.
		}
		queries, dashboards := followed.desired()
		for _, w := range []registry.Desired{queries, dashboards} {
			for _, name := range w.Changed {
				if text, ok := w.Fields[name]; ok {
					written[name] = text
				} else {
					delete(written, name)
				}
			}
		}
		followed.done()
		whole := derive(t, testRules(), slices.Collect(maps.Values(has))...)
		want := maps.Clone(whole.queries)
		maps.Copy(want, whole.dashboards)
		if !maps.Equal(written, want) || whole.widgets != followed.widgets {
			t.Fatalf("step %d: change by change\n%v, want\n%v", step, written, want)
		}
	}
}

// Documents from before the slice was made coarser, or the windows shorter.
func TestDeriveUnderStricterRules(t *testing.T) {
	d := mustDecode(t, `{"dashboard_id":"`+idA+`","widgets":[
		{"widget_id":"`+idB+`","metric_name":"m","aggregation":"avg","window_seconds":60,"refresh_interval_seconds":0.25},
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"refresh_interval_seconds":2.25},
		{"widget_id":"`+idC+`","metric_name":"long","aggregation":"avg","window_seconds":3600}]}`)
	p := newDerived(Rules{SliceMs: 1000, MaxWindowSeconds: 600})
	left, err := p.apply(Changes{Revision: 1, Dashboards: []Dashboard{d}})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.entries(t); len(got) != 1 || !slices.Equal(got["m:avg:60s"].RefreshMs, []int64{1000, 3000}) {
		t.Errorf("entries %+v", got)
	}
	if !slices.Equal(left, []string{idC}) {
		t.Errorf("left out %v", left)
	}
	published, err := wire.DecodeView(p.dashboards[idA])
	if err != nil {
		t.Fatal(err)
	}
	// All are shown; the one without a query waits.
	if w := published.Widgets; len(w) != 3 || w[0].RefreshMs != 1000 || w[1].RefreshMs != 3000 {
		t.Errorf("published %+v, want refresh intervals of the pipeline, 1000 and 3000", w)
	}
	if d.Widgets[0].RefreshSeconds != 0.25 {
		t.Error("derive changed the stored dashboard")
	}
}

// The shortest window is that of people's widgets, change by change: programs'
// own dashboards, and windows that no pipeline serves, do not count.
func TestShortestWindow(t *testing.T) {
	of := func(id, tag string, windows ...int) Dashboard {
		t.Helper()
		widgets := make([]string, 0, len(windows))
		for _, w := range windows {
			widgets = append(widgets, fmt.Sprintf(`{"metric_name":"m","aggregation":"avg","window_seconds":%d}`, w))
		}
		return mustDecode(t, `{"dashboard_id":"`+id+`","tags":["`+tag+`"],"widgets":[`+strings.Join(widgets, ",")+`]}`)
	}
	d := newDerived(Rules{SliceMs: 1000, MaxWindowSeconds: 600})
	for i, step := range []struct {
		change Changes
		want   int
	}{
		{Changes{}, 0},
		{Changes{Dashboards: []Dashboard{of(idA, "pulseboard:canary", 25)}}, 0},
		{Changes{Dashboards: []Dashboard{of(idB, "web", 3600, 300, 60)}}, 60},
		{Changes{Dashboards: []Dashboard{of(idC, "pulseboard", 5)}}, 5},
		{Changes{Dashboards: []Dashboard{of(idC, "pulseboard:draft", 5)}}, 60},
		{Changes{Dashboards: []Dashboard{of(idB, "web", 3600)}}, 0},
		{Changes{Dashboards: []Dashboard{of(idB, "web", 300)}}, 300},
		{Changes{Deleted: []string{idB}}, 0},
	} {
		step.change.Revision = int64(i + 1)
		if _, err := d.apply(step.change); err != nil {
			t.Fatal(err)
		}
		if got := d.shortestWindow(); got != step.want {
			t.Errorf("step %d: %d s, want %d", i, got, step.want)
		}
	}
}
