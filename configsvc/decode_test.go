package configsvc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	idA = "0b0f6c6e-6f7e-4d55-8a7a-0d0f1a2b3c4d"
	idB = "6f1d8b1e-3c55-4b0e-9a35-0d6f3f2a7c11"
	idC = "c1a5a5c0-1111-4222-8333-444455556666"
)

func testRules() Rules { return Rules{SliceMs: 250, MaxWindowSeconds: 3600} }

func mustParse(t *testing.T, text string) any {
	t.Helper()
	v, err := parseJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func decodeText(t *testing.T, text string) (Dashboard, *faults) {
	t.Helper()
	f := new(faults)
	return testRules().dashboard(mustParse(t, text), "", f), f
}

// mustDecode returns a dashboard without faults.
func mustDecode(t *testing.T, text string) Dashboard {
	t.Helper()
	d, f := decodeText(t, text)
	if len(f.errors) > 0 {
		t.Fatalf("errors %+v in %s", f.errors, text)
	}
	return d
}

// withWidget is a dashboard whose one widget has the fields beside the required ones.
func withWidget(fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return `{"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":60` + fields + `}]}`
}

func TestDefaults(t *testing.T) {
	d := mustDecode(t, `{"dashboard_id":"`+strings.ToUpper(idA)+`","widgets":[{"widget_id":"`+idB+`","metric_name":"m","aggregation":"sum","window_seconds":60.0}]}`)
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"dashboard_id":"` + idA + `","title":"Untitled","version":0,"tags":[],"variables":[],"widgets":[{"widget_id":"` + idB + `","dashboard_id":"` + idA + `",` +
		`"metric_name":"m","aggregation":"sum","window_seconds":60,"refresh_interval_seconds":1,"delay_seconds":0,"filter":{},"group_by":[],` +
		`"display_config":{"chart":"line","title":"","unit":"","position":{"x":0,"y":0,"w":6,"h":4},"color_scheme":"okabe-ito","x_axis":{"label":""},` +
		`"y_axis":{"label":"","scale":"linear","min":null,"max":null},"thresholds":[],"limit":20}}]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestGivenValuesAreKept(t *testing.T) {
	text := `{"dashboard_id":"` + idA + `","title":"Web","version":0,"tags":["team-a","eu"],"variables":[{"name":"host","tag":"host"}],"widgets":[{"widget_id":"` + idB + `","dashboard_id":"` + idA + `",` +
		`"metric_name":"http.latency","aggregation":"max","window_seconds":3600,"refresh_interval_seconds":0.25,"delay_seconds":300,` +
		`"filter":{"env":{"not":"test"},"host":["a","b"],"path":{"prefix":"/api"},"region":"eu","tier":{"not":["a","b"]},"zone":{"exists":true}},"group_by":["zone","host"],` +
		`"display_config":{"chart":"heatmap","title":"t","unit":"ms","position":{"x":3,"y":7,"w":9,"h":2},"color_scheme":"viridis","x_axis":{"label":"time"},` +
		`"y_axis":{"label":"latency","scale":"log","min":0.5,"max":100},"thresholds":[{"at":200,"level":"warn"},{"at":500.5,"level":"crit"}],"limit":5}}]}`
	got, err := json.Marshal(mustDecode(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != text {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
}

func TestRules(t *testing.T) {
	many := func(n int, item string) string { return "[" + strings.Repeat(item+",", n-1) + item + "]" }
	var strs []string
	for i := range 101 {
		strs = append(strs, fmt.Sprintf("%q", fmt.Sprint("v", i)))
	}
	values := "[" + strings.Join(strs, ",") + "]"
	for _, c := range []struct {
		name, body string
		want       []string // "pointer code", in any order.
	}{
		{"array", `[]`, []string{" wrong_type"}},
		{"null", `null`, []string{" wrong_type"}},
		{"number", `1`, []string{" wrong_type"}},
		{"title type", `{"title":5}`, []string{"/title wrong_type"}},
		{"title long", `{"title":"` + strings.Repeat("é", 201) + `"}`, []string{"/title out_of_range"}},
		{"title fits", `{"title":"` + strings.Repeat("é", 200) + `"}`, nil},
		{"title control", `{"title":"a\u0000b"}`, []string{"/title invalid"}},
		{"id", `{"dashboard_id":"x"}`, []string{"/dashboard_id invalid"}},
		{"id in braces", `{"dashboard_id":"{` + idA + `}"}`, []string{"/dashboard_id invalid"}},
		{"id type", `{"dashboard_id":1}`, []string{"/dashboard_id wrong_type"}},
		{"tags", `{"tags":["a",1,"","a","` + strings.Repeat("x", 65) + `"]}`, []string{"/tags/1 wrong_type", "/tags/2 invalid", "/tags/3 duplicate", "/tags/4 out_of_range"}},
		{"tags type", `{"tags":"a"}`, []string{"/tags wrong_type"}},
		{"variables", `{"variables":[{"name":"a","tag":"a"},{"name":"a","tag":"b\tc"},{},3]}`, []string{"/variables/1/name duplicate", "/variables/1/tag invalid", "/variables/2/name required", "/variables/2/tag invalid", "/variables/3 wrong_type"}},
		{"widgets type", `{"widgets":{}}`, []string{"/widgets wrong_type"}},
		{"widgets too many", `{"widgets":` + many(201, "{}") + `}`, []string{"/widgets too_many"}},
		{"widget empty", `{"widgets":[{}, 7]}`, []string{"/widgets/0/metric_name required", "/widgets/0/aggregation required", "/widgets/0/window_seconds required", "/widgets/1 wrong_type"}},
		{"widget nulls", `{"widgets":[{"metric_name":null,"aggregation":null,"window_seconds":null}]}`, []string{"/widgets/0/metric_name required", "/widgets/0/aggregation required", "/widgets/0/window_seconds required"}},
		{"widget types", `{"widgets":[{"metric_name":1,"aggregation":2,"window_seconds":"60"}]}`, []string{"/widgets/0/metric_name wrong_type", "/widgets/0/aggregation wrong_type", "/widgets/0/window_seconds wrong_type"}},
		{"metric name", `{"widgets":[{"metric_name":"x\u007f","aggregation":"avg","window_seconds":1}]}`, []string{"/widgets/0/metric_name invalid"}},
		{"aggregation", `{"widgets":[{"metric_name":"m","aggregation":"median","window_seconds":1}]}`, []string{"/widgets/0/aggregation invalid"}},
		{"window 0", `{"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":0}]}`, []string{"/widgets/0/window_seconds out_of_range"}},
		{"window 3601", `{"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":3601}]}`, []string{"/widgets/0/window_seconds out_of_range"}},
		{"window fraction", `{"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":1.5}]}`, []string{"/widgets/0/window_seconds invalid"}},
		{"window huge", `{"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":1e999}]}`, []string{"/widgets/0/window_seconds out_of_range"}},
		{"same widget twice", `{"widgets":[{"widget_id":"` + idA + `","metric_name":"m","aggregation":"avg","window_seconds":1},{"widget_id":"` + strings.ToUpper(idA) + `","metric_name":"m","aggregation":"avg","window_seconds":1}]}`, []string{"/widgets/1/widget_id duplicate"}},
		{"refresh 0", withWidget(`"refresh_interval_seconds":0`), []string{"/widgets/0/refresh_interval_seconds out_of_range"}},
		{"refresh negative", withWidget(`"refresh_interval_seconds":-1`), []string{"/widgets/0/refresh_interval_seconds out_of_range"}},
		{"refresh between", withWidget(`"refresh_interval_seconds":0.6`), []string{"/widgets/0/refresh_interval_seconds invalid"}},
		{"refresh almost", withWidget(`"refresh_interval_seconds":0.7500001`), []string{"/widgets/0/refresh_interval_seconds invalid"}},
		{"refresh 3600", withWidget(`"refresh_interval_seconds":3600`), nil},
		{"refresh long", withWidget(`"refresh_interval_seconds":3601`), []string{"/widgets/0/refresh_interval_seconds out_of_range"}},
		{"refresh huge", withWidget(`"refresh_interval_seconds":1e300`), []string{"/widgets/0/refresh_interval_seconds out_of_range"}},
		{"refresh type", withWidget(`"refresh_interval_seconds":"1"`), []string{"/widgets/0/refresh_interval_seconds wrong_type"}},
		{"first", withWidget(`"first":"sum"`), []string{"/widgets/0/first invalid"}},
		{"first of a sum", withWidget(`"aggregation":"sum","first":"count"`), []string{"/widgets/0/first invalid"}},
		{"delay", withWidget(`"delay_seconds":301`), []string{"/widgets/0/delay_seconds out_of_range"}},
		{"delay negative", withWidget(`"delay_seconds":-1`), []string{"/widgets/0/delay_seconds out_of_range"}},
		{"filter type", withWidget(`"filter":"eu"`), []string{"/widgets/0/filter wrong_type"}},
		{"filter terms", withWidget(`"filter":{"a":1,"b/c\t":"x","ok":"x","e":{"exists":"yes"},"f":[],"g":""}`), []string{"/widgets/0/filter/a invalid", "/widgets/0/filter/b~1c\t invalid", "/widgets/0/filter/e invalid", "/widgets/0/filter/f invalid", "/widgets/0/filter/g invalid"}},
		{"filter values", withWidget(`"filter":{"a":` + values + `,"b":{"not":` + values + `}}`), []string{"/widgets/0/filter/a too_many", "/widgets/0/filter/b too_many"}},
		{"group_by", withWidget(`"group_by":["a","b\tc","a"]`), []string{"/widgets/0/group_by/1 invalid", "/widgets/0/group_by/2 duplicate"}},
		{"group_by many", withWidget(`"group_by":["a","b","c","d","e","f","g","h","i"]`), []string{"/widgets/0/group_by too_many"}},
		{"display type", withWidget(`"display_config":[]`), []string{"/widgets/0/display_config wrong_type"}},
		{"display", withWidget(`"display_config":{"chart":"pie","title":1,"unit":"` + strings.Repeat("x", 33) + `","color_scheme":"Red!","x_axis":1,"limit":0}`), []string{
			"/widgets/0/display_config/chart invalid", "/widgets/0/display_config/title wrong_type", "/widgets/0/display_config/unit out_of_range",
			"/widgets/0/display_config/color_scheme invalid", "/widgets/0/display_config/x_axis wrong_type", "/widgets/0/display_config/limit out_of_range",
		}},
		{"position beyond", withWidget(`"display_config":{"position":{"x":7,"y":0,"w":6,"h":1}}`), []string{"/widgets/0/display_config/position out_of_range"}},
		{"position half", withWidget(`"display_config":{"position":{"y":0}}`), []string{"/widgets/0/display_config/position invalid"}},
		{"position sizes", withWidget(`"display_config":{"position":{"w":13,"h":0}}`), []string{"/widgets/0/display_config/position/w out_of_range", "/widgets/0/display_config/position/h out_of_range"}},
		{"y axis", withWidget(`"display_config":{"y_axis":{"scale":"cubic","min":5,"max":5}}`), []string{"/widgets/0/display_config/y_axis/scale invalid", "/widgets/0/display_config/y_axis/min out_of_range"}},
		{"log axis", withWidget(`"display_config":{"y_axis":{"scale":"log","min":0}}`), []string{"/widgets/0/display_config/y_axis/min out_of_range"}},
		{"thresholds", withWidget(`"display_config":{"thresholds":[{},{"at":"x","level":"red"},1]}`), []string{
			"/widgets/0/display_config/thresholds/0/at required", "/widgets/0/display_config/thresholds/0/level required",
			"/widgets/0/display_config/thresholds/1/at wrong_type", "/widgets/0/display_config/thresholds/1/level invalid", "/widgets/0/display_config/thresholds/2 wrong_type",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, f := decodeText(t, c.body)
			var got []string
			for _, e := range f.errors {
				got = append(got, e.Pointer+" "+e.Code)
				if e.Detail == "" {
					t.Errorf("no detail at %s", e.Pointer)
				}
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("errors %q, want %q", got, c.want)
			}
		})
	}
}

func TestADistributionIsDrawnAsAHeatMap(t *testing.T) {
	d := mustDecode(t, `{"widgets":[{"metric_name":"m","aggregation":"histogram","window_seconds":1},{"metric_name":"m","aggregation":"p95","window_seconds":1}]}`)
	if a, b := d.Widgets[0].Display.Chart, d.Widgets[1].Display.Chart; a != "heatmap" || b != "line" {
		t.Errorf("the charts are %s and %s", a, b)
	}
}

func TestErrorsNameTheThingAndTheFix(t *testing.T) {
	for body, want := range map[string]string{
		`{"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":0}]}`:                                                                 "window_seconds is 0: it must be 1 to 3600",
		`{"widgets":[{"metric_name":"m","aggregation":"median","window_seconds":1}]}`:                                                              `unknown aggregation "median": use one of sum, avg, max, min, count`,
		withWidget(`"refresh_interval_seconds":0.6`):                                                                                               "refresh_interval_seconds is 0.6: it must be a multiple of the slice of 0.25 s, for example 0.5",
		`{"widgets":[{"metric_name":"m","aggregation":"histogram","window_seconds":1,"display_config":{"chart":"gauge"}}]}`:                        `chart "gauge" draws numbers, and histogram is a distribution: use heatmap, or ask for a percentile`,
		`{"widgets":[{"metric_name":"m","aggregation":"histogram","window_seconds":1,"group_by":["host"]}]}`:                                       `leave group_by out and filter for the group to show, or ask for a percentile`,
		`{"widgets":[{"metric_name":"m","aggregation":"histogram","window_seconds":1,"display_config":{"thresholds":[{"at":1,"level":"warn"}]}}]}`: `a threshold compares a number, and histogram is a distribution: leave thresholds out`,
		withWidget(`"display_config":{"chart":"pie"}`):                                                                                             `chart is "pie": use one of line, gauge, stat, table, heatmap`,
	} {
		_, f := decodeText(t, body)
		if len(f.errors) != 1 || !strings.Contains(f.errors[0].Detail, want) {
			t.Errorf("errors %+v, want %q", f.errors, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	d, f := decodeText(t, `{"titel":"x","version":9,"warnings":[],"a/b~c":1,"variables":[{"name":"a","tag":"a","x":1}],"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":1,
		"colour":"red","dashboard_id":"`+idC+`","refresh_interval_seconds":0.1,"display_config":{"foo":1,"position":{"z":1},"y_axis":{"bar":1},"x_axis":{"baz":1},"thresholds":[{"at":1,"level":"ok","qux":1}]}}]}`)
	if len(f.errors) > 0 {
		t.Fatalf("errors %+v", f.errors)
	}
	var got []string
	for _, w := range f.warnings {
		got = append(got, w.Pointer)
	}
	slices.Sort(got)
	want := []string{
		"/a~1b~0c", "/titel", "/variables/0/x", "/widgets/0/colour", "/widgets/0/dashboard_id", "/widgets/0/display_config/foo",
		"/widgets/0/display_config/position/z", "/widgets/0/display_config/thresholds/0/qux", "/widgets/0/display_config/x_axis/baz",
		"/widgets/0/display_config/y_axis/bar", "/widgets/0/refresh_interval_seconds",
	}
	if !slices.Equal(got, want) {
		t.Errorf("warnings at %q, want %q", got, want)
	}
	if w := d.Widgets[0]; w.RefreshSeconds != 0.25 || w.DashboardID != d.ID {
		t.Errorf("widget %+v: want refresh 0.25 and the dashboard's id %s", w, d.ID)
	}
}

func TestDefaultRefreshIsNeverBelowTheSlice(t *testing.T) {
	for slice, want := range map[int64]float64{250: 1, 1000: 1, 400: 1.2, 5000: 5} {
		var f faults
		d := Rules{SliceMs: slice, MaxWindowSeconds: 60}.dashboard(mustParse(t, withWidget("")), "", &f)
		if got := d.Widgets[0].RefreshSeconds; got != want || len(f.errors)+len(f.warnings) > 0 {
			t.Errorf("slice %d ms: refresh %v, want %v; %+v", slice, got, want, f)
		}
	}
}

func TestPlacesAreFreeAndInOrder(t *testing.T) {
	at := func(x, y, w, h int) Widget { return Widget{Display: Display{Position: Position{x, y, w, h}}} }
	somewhere := func(w, h int) Widget { return at(unplaced, 0, w, h) }
	widgets := []Widget{somewhere(6, 4), at(6, 0, 6, 2), somewhere(6, 4), somewhere(12, 1), somewhere(3, 2), at(0, 10_000, 12, 100), somewhere(12, 4)}
	place(widgets)
	want := []Position{{0, 0, 6, 4}, {6, 0, 6, 2}, {6, 2, 6, 4}, {0, 6, 12, 1}, {0, 4, 3, 2}, {0, 10_000, 12, 100}, {0, 7, 12, 4}}
	for i, w := range widgets {
		if w.Display.Position != want[i] {
			t.Errorf("widget %d at %+v, want %+v", i, w.Display.Position, want[i])
		}
	}
}

func FuzzDashboard(f *testing.F) {
	f.Add(withWidget(`"filter":{"a":["x"]},"display_config":{"position":{"x":1,"y":2}}`))
	f.Add(`{"widgets":[null,{},[]],"tags":[1],"variables":[{}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseJSON([]byte(text))
		if err != nil {
			return
		}
		var found faults
		d := testRules().dashboard(v, "", &found)
		if len(found.errors) > 0 {
			return
		}
		// What was accepted is accepted again and does not change.
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again := mustDecode(t, string(b))
		again.Version = d.Version
		c, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != string(c) {
			t.Errorf("%s became %s", b, c)
		}
	})
}
