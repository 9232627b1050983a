package wire_test

import (
	"reflect"
	"testing"

	"pulseboard/metric"
	"pulseboard/wire"
)

func TestRegistryGolden(t *testing.T) {
	filter := metric.Filter{}
	if err := filter.UnmarshalJSON([]byte(`{"region":"eu"}`)); err != nil {
		t.Fatal(err)
	}
	entry := wire.QueryEntry{
		Query: metric.Query{
			Metric: "api.request.latency", Aggregation: "p95", WindowSeconds: 60, DelaySeconds: 3, Filter: filter, GroupBy: []string{"host"},
		},
		RefreshMs: []int64{250, 1000},
		Owners:    []wire.Owner{{Dashboard: "6f1e2d3c-0000-4000-8000-000000000001", Token: "alice"}},
	}
	key := entry.Query.Key()
	text, err := wire.EncodeQuery(key, entry)
	if want := wire.Golden(t, "redis/query"); err != nil || text != want {
		t.Errorf("a query is encoded as\n%s, %v; want\n%s", text, err, want)
	}
	if back, err := wire.DecodeQuery(key, text); err != nil || !reflect.DeepEqual(back.Query.Key(), key) || !reflect.DeepEqual(back.Owners, entry.Owners) {
		t.Errorf("a query is decoded as %+v, %v", back, err)
	}
	if _, err := wire.DecodeQuery("m:sum:5s", text); err == nil {
		t.Error("a query is read under the key of another")
	}
	latency := metric.Query{Metric: "api.request.latency", Aggregation: metric.Avg, WindowSeconds: 60, DelaySeconds: 3, GroupBy: []string{"host"}}
	view := wire.View{Version: 7, Variables: []wire.Variable{{Name: "host", Tag: "host"}}, Widgets: []wire.WidgetView{
		wire.NewWidgetView("6f1e2d3c-0000-4000-8000-00000000000a", latency, 1000, true),
		wire.NewWidgetView("6f1e2d3c-0000-4000-8000-00000000000b", metric.Query{Metric: "shop.orders", Aggregation: metric.Sum, WindowSeconds: 10}, 250, false),
	}}
	text, err = wire.EncodeView(view)
	if want := wire.Golden(t, "redis/view"); err != nil || text != want {
		t.Errorf("a view is encoded as\n%s, %v; want\n%s", text, err, want)
	}
	if back, err := wire.DecodeView(text); err != nil || !reflect.DeepEqual(back, view) {
		t.Errorf("a view is decoded as %+v, %v", back, err)
	}
	text = wire.EncodeNotice(8, []string{"shop.orders:sum:10s"})
	if want := wire.Golden(t, "redis/notice"); text != want {
		t.Errorf("a notice is encoded as %s, want %s", text, want)
	}
	if n, ok := wire.DecodeNotice(text); !ok || n.Version != 8 || len(n.Changed) != 1 {
		t.Errorf("a notice is decoded as %+v, %t", n, ok)
	}
}
