package configsvc

import (
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/catalog"
	"pulseboard/internal/host"
)

// known is a catalog of some metrics.
type known []catalog.Entry

func (k known) Loaded() bool { return true }

func (k known) Search(text string, limit int, cursor string) (p catalog.Page, err error) {
	if cursor == "!" {
		return p, catalog.ErrCursor
	}
	for _, m := range k {
		switch {
		case m.Metric <= cursor || !strings.Contains(m.Metric, strings.ToLower(text)):
		case len(p.Entries) == limit:
			p.Next = p.Entries[limit-1].Metric
		default:
			p.Entries = append(p.Entries, m)
		}
	}
	p.Total = len(p.Entries)
	return p, nil
}

func (k known) Metric(name string) (catalog.Entry, bool) {
	for _, m := range k {
		if m.Metric == name {
			return m, true
		}
	}
	return catalog.Entry{}, false
}

func catalogd(t *testing.T, c Catalog) *httptest.Server {
	t.Helper()
	s, err := New(Config{Store: openTestSQLite(t, newDB(t)), Registry: nowhere{}, Catalog: c, Rules: Rules{SliceMs: 500}, Shared: host.Shared{Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return srv
}

func TestValidateSaysWhatItCosts(t *testing.T) {
	srv := catalogd(t, known{
		{Metric: "m", Series: 1000, Tags: []catalog.Tag{{Key: "host", Values: []string{"a", "b", "c"}}, {Key: "region", Values: []string{"eu", "us"}, More: 3}}},
		{Metric: "small", Series: 3, Tags: []catalog.Tag{{Key: "host", Values: []string{"a", "b"}}}},
	})
	r := do(t, srv, "POST", "/dashboards/validate", `{"colour":1,"widgets":[
		{"metric_name":"m","aggregation":"avg","window_seconds":60},
		{"metric_name":"m","aggregation":"avg","window_seconds":60,"refresh_interval_seconds":5},
		{"metric_name":"m","aggregation":"max","window_seconds":3600,"group_by":["host"],"filter":{"host":["a","c"]}},
		{"metric_name":"m","aggregation":"max","window_seconds":10,"group_by":["host","region"]},
		{"metric_name":"small","aggregation":"p95","window_seconds":10,"group_by":["host","zone"]},
		{"metric_name":"none","aggregation":"sum","window_seconds":10,"refresh_interval_seconds":2}]}`)
	if r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var v Validation
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Warnings) != 1 || v.Warnings[0].Pointer != "/colour" || len(v.Dashboard.Widgets) != 6 || v.Dashboard.ID == "" {
		t.Errorf("%s", r.body)
	}
	c := v.Cost
	if c.Queries != 5 || c.NewQueries != 5 || c.Metrics != 3 || c.Series != 1003 || c.Slices != 7200 || !reflect.DeepEqual(c.UnknownMetrics, []string{"none"}) {
		t.Errorf("cost %+v", c)
	}
	// avg at 1 s and 5 s, two max, one p95, and a sum at 2 s.
	if c.ResultsPerSecond != 1+0.2+1+1+1+0.5 {
		t.Errorf("%v results a second", c.ResultsPerSecond)
	}
	want := []string{"1 of 1000", "1 of 1000", "2 of 1000", "24 of 1000", "3 of 3", "unknown"}
	for i, w := range c.Widgets {
		got := "unknown"
		if w.Groups != nil && w.Series != nil {
			got = jsonText(t, *w.Groups) + " of " + jsonText(t, *w.Series)
		}
		if got != want[i] || !w.New || w.WidgetID != v.Dashboard.Widgets[i].ID || w.MetricKey != v.Dashboard.Widgets[i].Query().Key() {
			t.Errorf("widget %d: %s groups, want %s (%+v)", i, got, want[i], w)
		}
	}
	// It was not kept.
	if r := do(t, srv, "GET", "/dashboards", ""); string(r.body) != `{"dashboards":[],"next":null}` {
		t.Errorf("validate kept %s", r.body)
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestValidateFindsWhatPostWould(t *testing.T) {
	srv := catalogd(t, nil)
	for _, body := range []string{`{`, `[]`, `{"title":1,"widgets":[{}]}`, `{"title":"` + strings.Repeat("x", maxDocument) + `"}`} {
		tried, made := do(t, srv, "POST", "/dashboards/validate", body), do(t, srv, "POST", "/dashboards", body)
		if tried.status != made.status || string(tried.body) != string(made.body) || tried.status < 400 {
			t.Errorf("%.40s: validate answers %d %s, POST %d %s", body, tried.status, tried.body, made.status, made.body)
		}
	}
	// What exists may be checked again, as people do before they change it.
	made := do(t, srv, "POST", "/dashboards", oneWidget)
	if r := do(t, srv, "POST", "/dashboards/validate", string(made.body)); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// A query that some dashboard has costs nothing more.
func TestValidateKnowsTheQueriesThereAre(t *testing.T) {
	r := start(t, newDB(t), miniredis.RunT(t))
	do(t, r.srv, "POST", "/dashboards", oneWidget)
	r.await(t, "m:avg:60s")
	res := do(t, r.srv, "POST", "/dashboards/validate", `{"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":60},{"metric_name":"m","aggregation":"avg","window_seconds":61}]}`)
	var v Validation
	if err := json.Unmarshal(res.body, &v); err != nil || v.Cost.Queries != 2 || v.Cost.NewQueries != 1 || v.Cost.Widgets[0].New || !v.Cost.Widgets[1].New {
		t.Errorf("%s: %v", res.body, err)
	}
}

// What the catalog knows of a metric tells that a widget will not show what one would think.
func TestValidateAdvises(t *testing.T) {
	srv := catalogd(t, known{
		{Metric: "scraped", Series: 6, LastMinute: 24, Tags: []catalog.Tag{{Key: "host", Values: []string{"a", "b"}}}},
		{Metric: "gone", Series: 6, LastMinute: 24, Stale: true},
		{Metric: "batched", Series: 1, Arrival: 6, Kinds: []string{"cumulative"}},
		{Metric: "near", Series: 1, Arrival: 1},
		{Metric: "both", Series: 1, Kinds: []string{"cumulative", "gauge"}},
		{Metric: "units", Series: 1, Units: []string{"ms", "s"}},
	})
	for _, c := range []struct{ widget, want string }{
		{`"metric_name":"scraped","aggregation":"last","window_seconds":60`, "/widgets/0/aggregation"},
		{`"metric_name":"scraped","aggregation":"last","window_seconds":60,"group_by":["host"]`, "/widgets/0/aggregation"},
		{`"metric_name":"scraped","aggregation":"last","window_seconds":60,"filter":{"host":"a"}`, ""}, // It may be one series.
		{`"metric_name":"scraped","aggregation":"last_sum","window_seconds":60`, ""},
		{`"metric_name":"scraped","aggregation":"rate","window_seconds":29`, "/widgets/0/window_seconds"},
		{`"metric_name":"scraped","aggregation":"increase","window_seconds":30`, ""},
		{`"metric_name":"batched","aggregation":"rate","window_seconds":60`, "/widgets/0/delay_seconds"},
		{`"metric_name":"batched","aggregation":"rate","window_seconds":60,"delay_seconds":6`, ""},
		{`"metric_name":"near","aggregation":"sum","window_seconds":60`, ""},
		{`"metric_name":"both","aggregation":"sum","window_seconds":60`, "/widgets/0/metric_name"},
		{`"metric_name":"units","aggregation":"sum","window_seconds":60`, "/widgets/0/metric_name"},
		{`"metric_name":"gone","aggregation":"increase","window_seconds":1`, ""},
		{`"metric_name":"none","aggregation":"last","window_seconds":1`, ""},
	} {
		r := do(t, srv, "POST", "/dashboards/validate", `{"widgets":[{`+c.widget+`}]}`)
		var v Validation
		if err := json.Unmarshal(r.body, &v); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range v.Warnings {
			got += w.Pointer
		}
		if got != c.want {
			t.Errorf("%s: warnings at %q, want %q: %s", c.widget, got, c.want, r.body)
		}
	}
}

func TestCatalog(t *testing.T) {
	x := 1.5
	srv := catalogd(t, known{
		{Metric: "api.latency", Series: 2, Tags: []catalog.Tag{{Key: "host", Values: []string{"a"}, More: 1}}, Kinds: []string{"gauge"}, Units: []string{"ms"}, Help: []string{"How long a request takes."}, Arrival: 5, LastMean: &x, LastEvent: 1764000000123, LastMinute: 120},
		{Metric: "api.requests", Series: 1},
		{Metric: "db.size", Series: 1, Overflow: true, Stale: true},
	})
	r := do(t, srv, "GET", "/metrics/catalog?query=LATENCY", "")
	const want = `{"metrics":[{"metric_name":"api.latency","series":2,"overflow":false,"tags":[{"key":"host","values":["a"],"more":1}],"more_tags":0,` +
		`"last_value":1.5,"last_event":"2025-11-24T16:00:00.123Z","arrival_seconds":5,"events_last_minute":120,"help":["How long a request takes."],"kinds":["gauge"],"stale":false,"units":["ms"]}],"total":1,"next":null}`
	if r.status != 200 || string(r.body) != want {
		t.Errorf("%d %s, want %s", r.status, r.body, want)
	}
	var names []string
	next := ""
	for {
		var p MetricPage
		if err := json.Unmarshal(do(t, srv, "GET", "/metrics/catalog?limit=2&cursor="+next, "").body, &p); err != nil {
			t.Fatal(err)
		}
		for _, m := range p.Metrics {
			names = append(names, m.Name)
		}
		if p.Next == nil {
			break
		}
		next = *p.Next
	}
	if got := strings.Join(names, " "); got != "api.latency api.requests db.size" {
		t.Errorf("pages %s", got)
	}
	if r := do(t, srv, "GET", "/metrics/catalog?query=nothing", ""); string(r.body) != `{"metrics":[],"total":0,"next":null}` {
		t.Errorf("%s", r.body)
	}
	for _, query := range []string{"limit=0", "limit=x", "cursor=!"} {
		if r := do(t, srv, "GET", "/metrics/catalog?"+query, ""); r.status != 400 {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	if r := do(t, catalogd(t, nil), "GET", "/metrics/catalog", ""); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("nothing known: %d %v", r.status, r.header)
	}
}

// People find every operation and its examples on the page.
func TestDocs(t *testing.T) {
	srv := catalogd(t, nil)
	r := do(t, srv, "GET", "/docs", "")
	page := string(r.body)
	if r.status != 200 || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
		t.Fatalf("%d %s", r.status, page)
	}
	for _, want := range []string{"<b>PATCH</b> /dashboards/{id}/widgets", "scope: edit", "scope: view", "scope: none", "If-Match", "header, required · string", "window_seconds", "integer ≥ 1 ≤ 86400", "One version of a dashboard."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"%!", "&lt;nil", "map[", "<no value>"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if len(operations(t)) != strings.Count(page, "<h2 id=") {
		t.Errorf("%d operations, %d on the page", len(operations(t)), strings.Count(page, "<h2 id="))
	}
}

func operations(t *testing.T) (ids []string) {
	t.Helper()
	for line := range strings.Lines(string(openAPI)) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "operationId: "); ok {
			ids = append(ids, id)
		}
	}
	return ids
}
