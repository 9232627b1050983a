package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pulseboard/clients/dashcode"
	"pulseboard/configsvc"
	"pulseboard/e2e/testenv"
)

// The dashboards that are made, and what is told of them. What is made is
// without fault, and as small as a file of export.
func TestConvertGolden(t *testing.T) {
	for _, name := range []string{"shop", "old", "rows", "pods", "v1", "v2", "layouts", "nodes"} {
		input, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		d, report, err := Convert(name+".json", input, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		text, err := dashcode.Write(d, dashcode.YAML)
		if err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, name+".golden.yaml", text)
		var b bytes.Buffer
		if err := report.Print(&b); err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, name+".golden.txt", b.Bytes())
		if whole := name == "rows" || name == "v1" || name == "v2"; report.Complete() != whole {
			t.Errorf("%s: said to be complete: %v", name, !whole)
		}
		path := filepath.Join(t.TempDir(), name+".yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := dashcode.Load([]string{path}, configsvc.Rules{MaxWindowSeconds: 3600})
		if err != nil || len(set.Faults) > 0 || len(set.Warnings) > 0 {
			t.Errorf("%s: %v %v %v", name, err, set.Faults, set.Warnings)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	input, err := os.ReadFile("testdata/old.json")
	if err != nil {
		t.Fatal(err)
	}
	_, report, err := Convert("old.json", input, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	testenv.Golden(t, "old.golden.json", append(b, '\n'))
}

func TestWhatIsNoDashboard(t *testing.T) {
	for input, want := range map[string]string{
		`[]`:                                "it is no JSON object",
		`{`:                                 "it is no JSON object",
		`{"title":"x"}`:                     "it has no panels",
		`{"schemaVersion":14,"rows":[]}`:    "its schema version is 14: at least 16 (Grafana 5); open and save it in a newer Grafana",
		`{"dashboard":{"schemaVersion":6}}`: "its schema version is 6",
		`{"apiVersion":"v1","kind":"x","spec":{}}`:   "it has no panels",
		`{"rows":[],"title":"x"}`:                    "it has no panels",
		`{"schemaVersion":30,"rows":[{}]}`:           "its schema version is 30",
		`{"dashboard":null,"meta":{"slug":"hello"}}`: "it has no panels",
	} {
		if _, _, err := Convert("a.json", []byte(input), testOptions()); err == nil || !strings.Contains(err.Error(), "cannot import a.json: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", input, err, want)
		}
	}
}

// All windows wait for late events as long as they are told to.
func TestDelay(t *testing.T) {
	o := testOptions()
	o.Delay = 5
	d, report, err := Convert("a.json", []byte(`{"schemaVersion":39,"panels":[{"type":"stat","targets":[{"refId":"A","expr":"sum(rate(x_total[1m]))"}]}]}`), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Panels[0].Targets[0].MetricKey; len(d.Widgets) != 1 || d.Widgets[0].DelaySeconds != 5 || got != "x_total:rate:60s delay 5s" {
		t.Errorf("%s, %+v", got, d.Widgets)
	}
}

// Of metrics that arrive all tags are known: lines are parted by them, and that is right as it is. Where they are too many
// for a widget, or make several series of one line, a condition says so.
func TestTagsOfMetricsThatArrive(t *testing.T) {
	o := testOptions()
	o.Tags = map[string][]string{"x_total": {"host", "code"}, "wide": {"a", "b", "c", "d", "e", "f", "g", "h", "i"}, "none": nil}
	for expr, want := range map[string]string{
		`rate(x_total{code="200"}[1m])`: `right x_total:rate:60s {code="200"} by (host)`,
		`rate(x_total[1m])`:             `right x_total:rate:60s by (code, host)`,
		`rate(y_total[1m])`:             `right if y_total:rate:60s`,
		`none`:                          `right none:last:300s`,
		`sum without (host) (x_total)`:  `right x_total:last_sum:300s by (code)`,
		`avg by (code, host) (max_over_time(x_total[1m]))`: `right x_total:max:60s by (code, host)`,
		`avg by (code) (max_over_time(x_total[1m]))`:       `right if x_total:max:60s by (code)`,
		`wide`:                                `right if wide:last:300s by (a, b, c, d, e, f, g, h)`,
		`sum(rate(x_total[1m])) or vector(0)`: `right x_total:rate:60s`,
		`sum(rate(x_total[1m])) or sum(y)`:    `right x_total:rate:60s`,
	} {
		board := fmt.Sprintf(`{"schemaVersion":39,"panels":[{"type":"stat","targets":[{"refId":"A","expr":%q}]}]}`, expr)
		_, report, err := Convert("a.json", []byte(board), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := report.Panels[0].Targets[0]; string(got.Outcome)+" "+got.MetricKey != want {
			t.Errorf("%s: %s %s %v %s, want %s", expr, got.Outcome, got.MetricKey, got.RightIf, got.Reason, want)
		}
	}
}

// More of everything than a dashboard may have: what is beyond is told.
func TestLimits(t *testing.T) {
	var panels, tags, vars []string
	for i := range 210 {
		panels = append(panels, fmt.Sprintf(`{"id":%d,"type":"stat","title":"%s","gridPos":{"x":0,"y":%d,"w":24,"h":200},"targets":[{"refId":"A","expr":"max(x{v%d=~\"$v%d\"})"}]}`, i, strings.Repeat("ü", 300), i*1000, i%20, i%20))
	}
	for i := range 30 {
		tags = append(tags, fmt.Sprintf(`"%d%s"`, i, strings.Repeat("t", 100)))
	}
	for i := range 20 {
		vars = append(vars, fmt.Sprintf(`{"name":"v%d","type":"query","query":"label_values(x, v%d)"}`, i, i))
	}
	input := fmt.Sprintf(`{"schemaVersion":39,"title":"%s","refresh":"1d","tags":[%s],"templating":{"list":[%s]},"panels":[%s]}`,
		strings.Repeat("T", 999), strings.Join(tags, ","), strings.Join(vars, ","), strings.Join(panels, ","))
	d, report, err := Convert("a.json", []byte(input), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	n := report.Verdict.Panels
	if len(d.Widgets) != 200 || len(d.Tags) != 20 || len(d.Variables) != 16 || n[Lost] != 10 || d.Widgets[0].RefreshSeconds != 3600 {
		t.Errorf("%d widgets, %d tags, %d variables, %v", len(d.Widgets), len(d.Tags), len(d.Variables), n)
	}
	lost := 0
	for _, i := range report.Other {
		if i.Outcome == Lost {
			lost++
		}
	}
	if lost != 10+4 || report.Complete() {
		t.Errorf("%d others not mapped", lost)
	}
}

func TestLevelOfColours(t *testing.T) {
	for color, want := range map[string]string{
		"green": "ok", "dark-red": "crit", "semi-dark-orange": "warn", "light-yellow": "warn", "#299c46": "ok", "#d44a3a": "crit", "#EAB839": "warn",
		"rgba(245, 54, 54, 0.9)": "crit", "rgb(50,172,45)": "ok", "rgba(237, 129, 40, 0.89)": "warn",
		"blue": "warn", "#808080": "warn", "rgba(0, 0, 255, 1)": "warn", "": "warn",
	} {
		if got, _ := levelOf(color, 1, 3); got != want {
			t.Errorf("%q: %s, want %s", color, got, want)
		}
	}
}

func TestArrange(t *testing.T) {
	for name, c := range map[string]struct{ in, want []box }{
		"neighbours stay": {[]box{{0, 0, 6, 4}, {6, 0, 6, 4}}, []box{{0, 0, 6, 4}, {6, 0, 6, 4}}},
		"what overlaps moves down, and what is below it": {[]box{{0, 0, 6, 4}, {4, 2, 6, 2}, {4, 4, 6, 1}}, []box{{0, 0, 6, 4}, {4, 4, 6, 2}, {4, 6, 6, 1}}},
		"empty rows close": {[]box{{0, 5, 6, 1}, {0, 900, 12, 2}}, []box{{0, 0, 6, 1}, {0, 1, 12, 2}}},
	} {
		boxes := make([]*box, 0, len(c.in))
		for _, b := range c.in {
			boxes = append(boxes, &b)
		}
		arrange(boxes)
		for i, b := range boxes {
			if *b != c.want[i] {
				t.Errorf("%s: box %d is %v, want %v", name, i, *b, c.want[i])
			}
		}
	}
	if got := fmt.Sprint(box{0, 2, 6, 4}.split(3)); got != "[{0 2 3 2} {3 2 3 2} {0 4 3 2}]" {
		t.Error(got)
	}
}

// Whatever a file holds: no panic, and if it is a dashboard, one by all rules
// and a report of each panel.
func FuzzConvert(f *testing.F) {
	for _, name := range []string{"shop", "old", "v1", "layouts"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"schemaVersion":16,"refresh":"1d","panels":[{"type":"stat","title":5,"targets":[{"expr":"rate(x[1m])*1e-300"}],"fieldConfig":{"defaults":{"min":"1e308","max":1}}}]}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		d, report, err := Convert("fuzz.json", input, testOptions())
		if err != nil {
			if strings.Contains(err.Error(), "mistake") {
				t.Error(err)
			}
			return
		}
		if len(d.Widgets) != report.Widgets {
			t.Errorf("%d widgets, and %d are told of", len(d.Widgets), report.Widgets)
		}
		for _, p := range report.Panels {
			if p.Outcome == "" || p.Outcome == Lost && p.Reason == "" {
				t.Errorf("panel %q: %q %q", p.Title, p.Outcome, p.Reason)
			}
		}
	})
}
