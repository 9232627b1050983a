package dashcode

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pulseboard/configsvc"
	examples "pulseboard/deploy/dashboards"
)

const (
	idA = "0b0f6c6e-6f7e-4d55-8a7a-0d0f1a2b3c4d"
	idB = "6f1d8b1e-3c55-4b0e-9a35-0d6f3f2a7c11"
)

// folder writes files, given as names and texts by turns.
func folder(tb testing.TB, files ...string) string {
	tb.Helper()
	dir := tb.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func load(tb testing.TB, dir string) Set {
	tb.Helper()
	s, err := Load([]string{dir}, configsvc.Rules{SliceMs: 250, MaxWindowSeconds: 3600})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// lines are the faults without the folder.
func lines(dir string, faults []Fault) []string {
	out := []string{}
	for _, f := range faults {
		out = append(out, strings.ReplaceAll(f.String(), dir+string(filepath.Separator), ""))
	}
	return out
}

const widget = "widgets: [{metric_name: m, aggregation: avg, window_seconds: 60}]\n"

// Each fault names its place, all of them are told, and what YAML is known for
// to surprise people with comes with the way out.
func TestFaultsOfFiles(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       []string
	}{
		"all faults, in the order of the file": {"a.yaml", `title: Web
tag: [x]
widgets:
  - metric_name: "7\tup"
    aggregation: mean
  - metric_name: m
    aggregation: avg
    window_seconds: 60
    display_config:
      position: {x: 0}
      thresholds:
        - {at: 1, level: red}
`, []string{
			`a.yaml:2:1: /tag: unknown field "tag": correct its name or remove it`,
			`a.yaml:4:5: /widgets/0/window_seconds: window_seconds is missing: how many seconds the aggregation covers, 1 to 3600`,
			`a.yaml:4:18: /widgets/0/metric_name: metric_name "7\tup" must have 1 to 200 characters of UTF-8, none of them a control character`,
			`a.yaml:5:18: /widgets/0/aggregation: unknown aggregation "mean": use one of sum, avg, max, min, count, stddev, histogram, increase, rate, increase_avg, rate_avg, last, last_sum, last_avg, last_min, last_max, last_count, or a percentile such as p95`,
			`a.yaml:10:17: /widgets/1/display_config/position: position has only one of x and y: give both, or none for the next free place`,
			`a.yaml:12:26: /widgets/1/display_config/thresholds/0/level: level is "red": use one of ok, warn, crit`,
		}},
		"numbers and truth values as strings": {"a.yaml", "title: 404\ntags: [true, no]\nwidgets: [{metric_name: m, aggregation: avg, window_seconds: '60', filter: {env: 5}}]\n", []string{
			`a.yaml:1:8: /title: title must be a string, but is a number; write it in quotes: "404"`,
			`a.yaml:2:8: /tags/0: must be a string, but is true or false; write it in quotes: "true"`,
			`a.yaml:3:62: /widgets/0/window_seconds: window_seconds must be a number, but is a string; leave out the quotes`,
			`a.yaml:3:82: /widgets/0/filter/env: filter of tag "env" must be a string, a list of strings, or an object with "not", "exists", "prefix" or "regex"`,
		}},
		"numbers that only YAML has": {"a.yaml", "widgets: [{metric_name: m, aggregation: avg, window_seconds: 0x3c, delay_seconds: 010, display_config: {y_axis: {max: .inf}, limit: 1_0}}]\n", []string{
			`a.yaml:1:62: /widgets/0/window_seconds: number 0x3c is not in the form of JSON: write it in decimal digits, or in quotes if it is a text`,
			`a.yaml:1:83: /widgets/0/delay_seconds: number 010 is not in the form of JSON: write it in decimal digits, or in quotes if it is a text`,
			`a.yaml:1:119: /widgets/0/display_config/y_axis/max: .inf is no number that JSON has: give a finite one, or leave the field out`,
			`a.yaml:1:133: /widgets/0/display_config/limit: number 1_0 is not in the form of JSON: write it in decimal digits, or in quotes if it is a text`,
		}},
		"members twice": {"a.yaml", "title: a\ntitle: b\nwidgets:\n  - metric_name: m\n    aggregation: avg\n    window_seconds: 1\n    metric_name: n\n", []string{
			`a.yaml:2:1: /title: "title" is there twice, first in line 1: remove one`,
			`a.yaml:7:5: /widgets/0/metric_name: "metric_name" is there twice, first in line 4: remove one`,
		}},
		"members twice in JSON": {"a.json", "{\"title\":\"a\",\n \"title\":\"b\"}", []string{
			`a.json:2:2: /title: "title" is there twice, first in line 1: remove one`,
		}},
		"a member that is no string": {"a.yaml", "404: a\n", []string{
			`a.yaml:1:1: the name of a member must be a string: write it in quotes: "404"`,
		}},
		"an anchor that is not there": {"a.yaml", "title: *t\n", []string{
			`a.yaml:1:8: /title: there is no anchor &t before this place`,
		}},
		"an anchor within itself": {"a.yaml", "tags: &t [*t]\n", []string{
			`a.yaml:1:11: /tags/0: there is no anchor &t before this place`,
		}},
		"a tag of YAML": {"a.yaml", "title: !env NAME\n", []string{
			`a.yaml:1:8: /title: tag !env means nothing in a dashboard: remove it`,
		}},
		"no object":     {"a.yaml", "- a\n", []string{`a.yaml:1:1: must be an object, but is an array`}},
		"empty":         {"a.yaml", "# later\n", []string{`a.yaml: there is no dashboard in the file`}},
		"empty JSON":    {"a.json", "", []string{`a.json: not JSON: the file is empty`}},
		"broken JSON":   {"a.json", "{\"title\":\n  oops}", []string{`a.json:2:3: not JSON: invalid character 'o' at start of value`}},
		"two in JSON":   {"a.json", "{}\n{}", []string{`a.json:2:2: not JSON: there is more after the end of the document; a JSON file holds one dashboard`}},
		"broken YAML":   {"a.yaml", "title: [a\n", []string{`a.yaml:1:8: not YAML: sequence end token ']' not found`}},
		"no UTF-8":      {"a.yaml", "title: \xff\n", []string{`a.yaml: not YAML: the file is not UTF-8`}},
		"an id too few": {"a.yaml", "dashboard_id: 12\n", []string{`a.yaml:1:15: /dashboard_id: dashboard_id must be a string, but is a number; write it in quotes: "12"`}},
		"two widgets of one id": {"a.yaml", "widgets:\n- {widget_id: " + idA + ", metric_name: m, aggregation: avg, window_seconds: 1}\n- {widget_id: " + idA + ", metric_name: n, aggregation: avg, window_seconds: 1}\n", []string{
			`a.yaml:3:15: /widgets/1/widget_id: widget_id "` + idA + `" is in the dashboard twice`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.file, c.text)
			s := load(t, dir)
			if got := lines(dir, s.Faults); !slices.Equal(got, c.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
			if len(s.Items) > 0 && len(s.Faults) > 0 {
				t.Errorf("a dashboard with faults is among the good ones")
			}
		})
	}
}

// What YAML 1.1 would take for other things is text here.
func TestYAMLIsRead(t *testing.T) {
	s := load(t, folder(t, "a.yaml", `# A comment.
defaults: &none
title: "no"
`, "b.yaml", `
dashboard_id: `+idA+`
title: on
tags: [yes, off, ~, !!str 404, 2026-01-02, "1"]
`, "c.yaml", `
title: |
  two
widgets: []
`, "d.yaml", `
title: d
variables: &v
  - {name: host, tag: host}
widgets:
  - &first
    metric_name: m
    aggregation: avg
    window_seconds: 60
    display_config: &look {chart: gauge, unit: ms}
  - <<: *first
    aggregation: max
    display_config: {<<: *look, unit: s}
`))
	if len(s.Items) != 1 {
		t.Fatalf("%d items, faults %v", len(s.Items), s.Faults)
	}
	d := s.Items[0].Dashboard
	w := d.Widgets[1]
	if w.Metric != "m" || w.Aggregation != "max" || w.WindowSeconds != 60 || w.Display.Chart != "gauge" || w.Display.Unit != "s" || d.Widgets[0].Display.Unit != "ms" {
		t.Errorf("%+v", w)
	}
	want := []string{"a.yaml:2:1: /defaults: unknown", "b.yaml:4:18: /tags/2: must be a string, but is null", "c.yaml:2:8: /title: title must not hold control"}
	for i, f := range s.Faults {
		if i >= len(want) || !strings.Contains(f.String(), want[i]) {
			t.Errorf("fault %s", f)
		}
	}
	s = load(t, folder(t, "b.yaml", "title: on\ntags: [yes, off, !!str 404, 2026-01-02, \"1\", 1.2.3]\n"))
	if got := s.Items[0].Dashboard; got.Title != "on" || !slices.Equal(got.Tags, []string{"yes", "off", "404", "2026-01-02", "1", "1.2.3"}) {
		t.Errorf("%+v", got)
	}
}

func TestAliasesOfAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 12; i++ {
		prev := string(rune('a'+i-1)) + "0"
		b.WriteString(string(rune('a'+i)) + "0: &" + string(rune('a'+i)) + "0 [" + strings.Repeat("*"+prev+",", 9) + "*" + prev + "]\n")
	}
	s := load(t, folder(t, "a.yaml", b.String()))
	if !slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Code == codeTooLarge }) {
		t.Errorf("%d faults", len(s.Faults))
	}
}

func TestFilesAreFound(t *testing.T) {
	dir := folder(t, "b.yaml", widget, "a.json", "{}", "sub/c.yml", widget, "notes.txt", "x", ".hidden.yaml", "x", ".git/d.yaml", "x")
	s := load(t, dir)
	if s.Files != 3 || len(s.Items) != 3 || filepath.Base(s.Items[0].Place.File) != "a.json" || s.Faults != nil {
		t.Errorf("%+v", s)
	}
	for want, paths := range map[string][]string{
		"there is no such file or folder":                 {filepath.Join(dir, "none.yaml")},
		"a dashboard file ends in .yaml, .yml or .json":   {filepath.Join(dir, "notes.txt")},
		"there is no .yaml, .yml or .json file in " + dir: {filepath.Join(folder(t), ".")},
	} {
		if strings.HasSuffix(want, dir) {
			empty := t.TempDir()
			want, paths = strings.ReplaceAll(want, dir, empty), []string{empty}
		}
		if _, err := Load(paths, configsvc.Rules{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	again, err := Load([]string{dir, filepath.Join(dir, "a.json"), dir + "/./b.yaml"}, configsvc.Rules{})
	if err != nil || again.Files != 3 || again.Faults != nil {
		t.Errorf("files named twice: %+v %v", again, err)
	}
}

// ids returns the id of the dashboard and those of its widgets by title or metric.
func ids(t *testing.T, text string) (string, map[string]string) {
	t.Helper()
	s := load(t, folder(t, "web.yaml", text))
	if len(s.Items) != 1 {
		t.Fatalf("faults %v", s.Faults)
	}
	out := make(map[string]string)
	for _, w := range s.Items[0].Dashboard.Widgets {
		out[w.Display.Title+"|"+w.Metric+"|"+string(w.Aggregation)] = w.ID
	}
	return s.Items[0].Dashboard.ID, out
}

func TestIdentity(t *testing.T) {
	const titled = "  - {metric_name: m, aggregation: p95, window_seconds: 60, display_config: {title: Latency}}\n"
	const plain = "  - {metric_name: m, aggregation: avg, window_seconds: 60}\n"
	dashboard, before := ids(t, "widgets:\n"+titled+plain)
	same, after := ids(t, "title: Other\nwidgets:\n"+
		"  - {metric_name: m, aggregation: avg, window_seconds: 60, refresh_interval_seconds: 5, display_config: {thresholds: [{at: 1, level: warn}]}}\n"+
		"  - {metric_name: new, aggregation: avg, window_seconds: 60}\n"+
		"  - {metric_name: m, aggregation: p95, window_seconds: 300, display_config: {title: Latency, unit: ms}}\n")
	if dashboard != same {
		t.Error("another title made another dashboard")
	}
	for name, id := range before {
		if after[name] != id {
			t.Errorf("%s was %s and is %s", name, id, after[name])
		}
	}
	// Equals are told apart by their number, which is stable while they are as many.
	s := load(t, folder(t, "web.yaml", "widgets:\n"+plain+plain))
	if w := s.Items[0].Dashboard.Widgets; w[0].ID != before["|m|avg"] || w[1].ID == w[0].ID {
		t.Errorf("%s %s, before %s", w[0].ID, w[1].ID, before["|m|avg"])
	}
	// A second document leaves the first as it is.
	two := load(t, folder(t, "web.yaml", "title: a\n---\ntitle: b\n---\n# nothing\n"))
	if len(two.Items) != 2 || two.Items[0].Dashboard.ID != dashboard || two.Items[1].Dashboard.ID == dashboard {
		t.Errorf("%+v", two)
	}
}

func TestIDsTwice(t *testing.T) {
	dir := folder(t, "a.yaml", "dashboard_id: "+idA+"\n", "b.yaml", "title: b\n---\ndashboard_id: "+strings.ToUpper(idA)+"\n",
		"x/same.yaml", "title: x\n", "y/same.json", "{}")
	s := load(t, dir)
	want := []string{
		`b.yaml:3:15: /dashboard_id: dashboard_id "` + idA + `" is also that of a.yaml:1:1: give one of them another, or remove it`,
		`y/same.json:1:1: /dashboard_id: dashboard_id "` + s.Items[2].Dashboard.ID + `" is also that of x/same.yaml:1:1; it is made of the file's name, which both have: rename one or write a dashboard_id into it`,
	}
	if got := lines(dir, s.Faults); !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	// A written id that is the one another widget would get.
	_, made := ids(t, widget)
	id := made["|m|avg"]
	s = load(t, folder(t, "web.yaml", "widgets:\n- {metric_name: m, aggregation: avg, window_seconds: 60}\n- {widget_id: "+id+", metric_name: n, aggregation: avg, window_seconds: 60}\n"))
	if len(s.Faults) != 1 || s.Faults[0].Pointer != "/widgets/0" || s.Faults[0].Code != codeDuplicate {
		t.Errorf("%v", s.Faults)
	}
}

func TestWarningsAndCost(t *testing.T) {
	dir := folder(t, "a.yaml", `widgets:
  - {metric_name: m, aggregation: avg, window_seconds: 60, refresh_interval_seconds: 0.1}
  - {metric_name: m, aggregation: max, window_seconds: 300}
  - {metric_name: m, aggregation: max, window_seconds: 300, group_by: [host], refresh_interval_seconds: 5}
  - {metric_name: m, aggregation: max, window_seconds: 300, group_by: [host], display_config: {chart: gauge}}
`)
	s := load(t, dir)
	if got := lines(dir, s.Warnings); !slices.Equal(got, []string{"a.yaml:2:86: /widgets/0/refresh_interval_seconds: refresh_interval_seconds was raised from 0.1 to 0.25, the slice of the pipeline"}) {
		t.Errorf("%q", got)
	}
	if got, want := s.Cost(250), (Cost{Dashboards: 1, Widgets: 4, MetricKeys: 3, Selectors: 2, Slices: 2400}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Whatever a file holds: no panic, and either dashboards or a reason.
func FuzzRead(f *testing.F) {
	f.Add("a.yaml", []byte(widget))
	f.Add("a.yaml", []byte("a: &x [*x]\n---\n? b\n: {<<: *x}\n"))
	f.Add("a.yaml", []byte("title: !!str |\n  x\ntags: {a: 1, a: 2}\n<<: [{title: x}]"))
	f.Add("a.json", []byte(`{"title":"x","widgets":[{"metric_name":"m"}]}`))
	f.Fuzz(func(t *testing.T, name string, input []byte) {
		docs, faults := read(name, input)
		if len(docs) == 0 && len(faults) == 0 {
			t.Error("neither a dashboard nor a reason")
		}
		s := Set{}
		s.check(docs, configsvc.Rules{})
		for _, i := range s.Items {
			if _, err := Write(i.Dashboard, YAML); err != nil {
				t.Error(err)
			}
		}
	})
}

// The examples are good, without a warning, and of different ids.
func TestExamples(t *testing.T) {
	set, err := LoadFS(examples.Files, configsvc.Rules{})
	if err != nil || len(set.Faults)+len(set.Warnings) > 0 || len(set.Items) != set.Files || set.Files < 3 {
		t.Errorf("%d of %d files are good: %v %v %v", len(set.Items), set.Files, err, set.Faults, set.Warnings)
	}
}
