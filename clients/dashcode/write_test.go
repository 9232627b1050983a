package dashcode

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"pulseboard/configsvc"
	"pulseboard/e2e/testenv"
	"pulseboard/metric"
)

// full has every field with a value of its own.
const full = `{"dashboard_id":"` + idA + `","title":"Web: all","tags":["team-a","no"],"variables":[{"name":"host","tag":"host"}],"widgets":[
	{"widget_id":"` + idB + `","metric_name":"http.latency","aggregation":"p95","window_seconds":300,"refresh_interval_seconds":0.25,"delay_seconds":5,
	 "filter":{"env":{"not":"test"},"host":["a","b"],"path":{"prefix":"/api"},"region":"eu","tier":{"not":["a","b"]},"zone":{"exists":true}},"group_by":["zone","host"],
	 "display_config":{"chart":"heatmap","title":"p95 latency","unit":"ms","position":{"x":3,"y":7,"w":9,"h":2},"color_scheme":"viridis","x_axis":{"label":"time"},
	 "y_axis":{"label":"latency","scale":"log","min":0.5,"max":100},"thresholds":[{"at":200,"level":"warn"},{"at":500.5,"level":"crit"}],"limit":5}},
	{"widget_id":"c1a5a5c0-1111-4222-8333-444455556666","metric_name":"m","aggregation":"avg","window_seconds":60}]}`

func fullDashboard(tb testing.TB) configsvc.Dashboard {
	tb.Helper()
	s := load(tb, folder(tb, "full.json", full))
	if len(s.Items) != 1 {
		tb.Fatalf("faults %v", s.Faults)
	}
	return s.Items[0].Dashboard
}

func TestWriteGolden(t *testing.T) {
	for _, format := range []Format{YAML, JSON} {
		b, err := Write(fullDashboard(t), format)
		if err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, "full."+string(format), b)
	}
}

// nasty are texts that readers of YAML take for something else, or stumble over.
func nasty() []string {
	return []string{
		"yes", "No", "off", "~", "null", "NULL", "true", "1", "-1", "1e3", "0x1F", "010", "1_0", ".5", ".inf", "nan", "2026-01-02", "12:30:45", "=", "<<",
		"- a", "? a", "a: b", "a #b", "#a", "'a'", `"a"`, `a\b`, "a,b", "[a]", "{a}", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "a ", " a", "a  b", "a:", ":a",
		"é", "日本", "😀", "\u2028", "\u0085", "\ufeff", "\u00a0", "\u200b", "\ufffd", "<b>&", "y", "N", "...", "---", "0b1", "0o7", "1.", "+1", "1:2",
	}
}

func randomText(r *rand.Rand, most int) string {
	list := nasty()
	s := list[r.IntN(len(list))]
	if r.IntN(2) == 0 {
		s += list[r.IntN(len(list))]
	}
	if r.IntN(3) == 0 {
		s = string(rune('a'+r.IntN(26))) + s
	}
	if len(s) > most {
		return "t"
	}
	return s
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func randomFilter(r *rand.Rand) map[string]any {
	f := make(map[string]any)
	for range r.IntN(4) {
		tag := pick(r, "host", "on", "1", "-", "0x1", "null", "a.b", "~"[:0]+"y")
		v, w := randomText(r, 60), randomText(r, 60)
		f[tag] = pick[any](r, v, []any{v, w}, map[string]any{"not": v}, map[string]any{"not": []any{v, w}}, map[string]any{"exists": r.IntN(2) == 0},
			map[string]any{"prefix": v}, map[string]any{"is": []any{v, w}, "exists": true, "prefix": v})
	}
	return f
}

func randomDashboard(r *rand.Rand) map[string]any {
	id := func() string {
		return fmt.Sprintf("%08x-%04x-4000-8000-%012x", r.Uint32(), r.IntN(1<<16), r.Int64N(1<<48))
	}
	d := map[string]any{"dashboard_id": id(), "title": randomText(r, 100)}
	if r.IntN(2) == 0 {
		d["tags"] = []any{randomText(r, 30), "zz" + randomText(r, 30)}
		d["variables"] = []any{map[string]any{"name": randomText(r, 30), "tag": pick(r, "host", "no", "1")}}
	}
	var widgets []any
	for range r.IntN(4) {
		w := map[string]any{
			"widget_id": id(), "metric_name": pick(r, "m", "null", "a:b/c-d.e", "no", "_x", "y"), "aggregation": pick(r, "sum", "p99.9", "p0", "count"),
			"window_seconds": 1 + r.IntN(3600), "refresh_interval_seconds": float64(1+r.IntN(14400)) / 4, "delay_seconds": r.IntN(301), "filter": randomFilter(r),
		}
		if r.IntN(2) == 0 {
			w["group_by"] = []any{pick(r, "host", "on"), pick(r, "1", "a.b")}
		}
		number := func() float64 { return pick(r, r.NormFloat64(), float64(r.IntN(1000)), 1e21, 1e-9, 0, -5, 1e300) }
		show := map[string]any{"chart": pick(r, "line", "gauge", "heatmap", "table", "stat"), "title": randomText(r, 100), "unit": randomText(r, 20), "color_scheme": pick(r, "viridis", "okabe-ito", "on", "1")}
		if r.IntN(2) == 0 {
			show["thresholds"] = []any{map[string]any{"at": number(), "level": "warn"}}
			show["position"] = map[string]any{"x": r.IntN(6), "y": r.IntN(50), "w": 1 + r.IntN(6), "h": 1 + r.IntN(9)}
			show["limit"] = 1 + r.IntN(100)
			show["x_axis"] = map[string]any{"label": randomText(r, 60)}
			low := number()
			show["y_axis"] = map[string]any{"label": randomText(r, 60), "min": low, "max": low + 1 + 1e300}
		}
		w["display_config"] = show
		widgets = append(widgets, w)
	}
	d["widgets"] = widgets
	return d
}

// Reading what was written gives the same dashboard, and writing that the same bytes.
func TestRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	for n := range 300 {
		b, err := json.Marshal(randomDashboard(r))
		if err != nil {
			t.Fatal(err)
		}
		docs, _ := readJSON("random.json", b)
		dashboard, faults, _ := configsvc.Rules{SliceMs: 250, MaxWindowSeconds: 3600}.Check(docs.value)
		if len(faults) > 0 {
			continue // Such as a text that is too long: not what is tested here.
		}
		for _, format := range []Format{YAML, JSON} {
			text, err := Write(dashboard, format)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "a."+string(format))
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Load([]string{path}, configsvc.Rules{SliceMs: 250, MaxWindowSeconds: 3600})
			if err != nil || len(s.Faults) > 0 || len(s.Items) != 1 {
				t.Fatalf("seed %d, dashboard %d: %v %v in\n%s", seed, n, err, s.Faults, text)
			}
			got := s.Items[0].Dashboard
			if changes, err := Compare(dashboard, got); err != nil || len(changes) > 0 || !reflect.DeepEqual(got, dashboard) {
				t.Fatalf("seed %d, dashboard %d: %v in\n%s", seed, n, changes, text)
			}
			if again, err := Write(got, format); err != nil || string(again) != string(text) {
				t.Fatalf("seed %d, dashboard %d: written again\n%s\nfirst\n%s", seed, n, again, text)
			}
		}
	}
}

func TestTextsOfYAML(t *testing.T) {
	for in, want := range map[string]string{
		"p95 latency": "p95 latency", "a/b (c) 50%": "a/b (c) 50%", idA: idA, "no": `"no"`, "1": `"1"`, "a: b": `"a: b"`, "é": `"é"`, "\u2028": `"\u2028"`, "": `""`, "a\"b": `"a\"b"`,
	} {
		if got := string(appendText(nil, in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestFileNames(t *testing.T) {
	used := map[string]bool{"web": true, "web-0b0f6c6e": true}
	for title, want := range map[string]string{"Web / API: p95": "web-api-p95", "Web": "web-" + idA, "日本": "0b0f6c6e"} {
		if got := FileName(configsvc.Dashboard{ID: idA, Title: title}, func(n string) bool { return used[n] }); got != want {
			t.Errorf("%q: %s, want %s", title, got, want)
		}
	}
}

// changed returns the full dashboard after a change.
func changed(t *testing.T, change func(d *configsvc.Dashboard)) configsvc.Dashboard {
	t.Helper()
	d := fullDashboard(t)
	change(&d)
	return d
}

func TestCompare(t *testing.T) {
	filter := func(terms ...metric.Term) metric.Filter {
		f, err := metric.NewFilter(terms...)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	second := "c1a5a5c0-1111-4222-8333-444455556666"
	for name, c := range map[string]struct {
		change func(d *configsvc.Dashboard)
		want   string
	}{
		"nothing":     {func(*configsvc.Dashboard) {}, ""},
		"the version": {func(d *configsvc.Dashboard) { d.Version = 9 }, ""},
		"the title":   {func(d *configsvc.Dashboard) { d.Title = "W" }, "/title\n  - \"Web: all\"\n  + \"W\""},
		"a threshold": {
			func(d *configsvc.Dashboard) { d.Widgets[0].Display.Thresholds = nil },
			"/widgets/p95 latency/display_config/thresholds\n  - [{\"at\":200,\"level\":\"warn\"},{\"at\":500.5,\"level\":\"crit\"}]",
		},
		"a bound":  {func(d *configsvc.Dashboard) { d.Widgets[1].Display.YAxis.Min = new(float64) }, "/widgets/" + second + "/display_config/y_axis/min\n  + 0"},
		"no bound": {func(d *configsvc.Dashboard) { d.Widgets[0].Display.YAxis.Min = nil }, "/widgets/p95 latency/display_config/y_axis/min\n  - 0.5"},
		"a filter": {func(d *configsvc.Dashboard) {
			d.Widgets[0].Filter = filter(metric.Term{Tag: "region", Op: metric.NotEqual, Values: []string{"eu"}}, metric.Term{Tag: "zone", Op: metric.Exists})
		}, `/widgets/p95 latency/filter/region
  - "eu"
  + {"not":"eu"}
/widgets/p95 latency/filter/env
  - {"not":"test"}
/widgets/p95 latency/filter/host
  - ["a","b"]
/widgets/p95 latency/filter/path
  - {"prefix":"/api"}
/widgets/p95 latency/filter/tier
  - {"not":["a","b"]}`},
		"a widget gone":  {func(d *configsvc.Dashboard) { d.Widgets = d.Widgets[:1] }, "/widgets/" + second + "\n  - " + `{"widget_id":"` + second + `","metric_name":"m","aggregation":"avg","window_seconds":60,"display_config":{"position":{"x":0,"y":0,"w":6,"h":4}}}`},
		"another order":  {func(d *configsvc.Dashboard) { d.Widgets[0], d.Widgets[1] = d.Widgets[1], d.Widgets[0] }, "/widgets (order)\n  - [\"p95 latency\",\"" + second + "\"]\n  + [\"" + second + "\",\"p95 latency\"]"},
		"a title's name": {func(d *configsvc.Dashboard) { d.Widgets[0].Display.Title = "p/q" }, "/widgets/p~1q/display_config/title\n  - \"p95 latency\"\n  + \"p/q\""},
	} {
		changes, err := Compare(fullDashboard(t), changed(t, c.change))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, ch := range changes {
			if i > 0 {
				got += "\n"
			}
			got += ch.String()
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}
