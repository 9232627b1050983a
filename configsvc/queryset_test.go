package configsvc

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"pulseboard/metric"
)

func TestDerive(t *testing.T) {
	one := mustDecode(t, `{"dashboard_id":"`+idA+`","widgets":[
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"group_by":["b","a"]},
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"group_by":["a","b"],"refresh_interval_seconds":5},
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"group_by":["b","a"],"display_config":{"chart":"stat"}},
		{"metric_name":"m","aggregation":"max","window_seconds":60,"filter":{"host":["y","x"]}}]}`)
	two := mustDecode(t, `{"dashboard_id":"`+idB+`","widgets":[
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"group_by":["a","b"],"refresh_interval_seconds":0.25},
		{"metric_name":"m","aggregation":"max","window_seconds":60,"filter":{"host":["x","y"]},"delay_seconds":10}]}`)
	p, err := testRules().derive([]Dashboard{one, two})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]int64{}
	for key, e := range p.entries {
		got[key] = e.RefreshMs
		if q, err := metric.ParseKey(key); err != nil || !reflect.DeepEqual(q, e.Query) {
			t.Errorf("%s holds %+v, %v", key, e.Query, err)
		}
	}
	want := map[string][]int64{
		"m:avg:60s by (a, b)":                     {250, 1000, 5000},
		`m:max:60s {host in ("x","y")}`:           {1000},
		`m:max:60s delay 10s {host in ("x","y")}`: {1000},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if p.widgets != 6 || len(p.dashboards) != 2 || len(p.left) != 0 {
		t.Errorf("%d widgets, %d dashboards, left out %v", p.widgets, len(p.dashboards), p.left)
	}
	// The order of dashboards and widgets does not matter.
	slices.Reverse(one.Widgets)
	q, err := testRules().derive([]Dashboard{two, one})
	if err != nil || !reflect.DeepEqual(p.entries, q.entries) {
		t.Errorf("in another order: %+v, %v", q.entries, err)
	}
	if none, err := testRules().derive(nil); err != nil || len(none.entries)+len(none.dashboards) > 0 {
		t.Errorf("of nothing: %+v, %v", none, err)
	}
}

// Documents from before the slice was made coarser, or the windows shorter.
func TestDeriveUnderStricterRules(t *testing.T) {
	d := mustDecode(t, `{"dashboard_id":"`+idA+`","widgets":[
		{"widget_id":"`+idB+`","metric_name":"m","aggregation":"avg","window_seconds":60,"refresh_interval_seconds":0.25},
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"refresh_interval_seconds":2.25},
		{"widget_id":"`+idC+`","metric_name":"long","aggregation":"avg","window_seconds":3600}]}`)
	p, err := rules{sliceMs: 1000, maxWindowSeconds: 600}.derive([]Dashboard{d})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.entries["m:avg:60s"].RefreshMs; len(p.entries) != 1 || !slices.Equal(got, []int64{1000, 3000}) {
		t.Errorf("entries %+v", p.entries)
	}
	if !slices.Equal(p.left, []string{idC}) {
		t.Errorf("left out %v", p.left)
	}
	var published Dashboard
	if err := json.Unmarshal(p.dashboards[idA], &published); err != nil {
		t.Fatal(err)
	}
	if a, b := published.Widgets[0].RefreshSeconds, published.Widgets[1].RefreshSeconds; a != 1 || b != 3 {
		t.Errorf("published refresh intervals %v and %v, want those of the pipeline, 1 and 3", a, b)
	}
	if d.Widgets[0].RefreshSeconds != 0.25 {
		t.Error("derive changed the stored dashboard")
	}
}
