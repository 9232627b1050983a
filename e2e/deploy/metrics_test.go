package deploy_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
)

//go:generate go test -count=1 -run TestMetricsPage . -update

var update = flag.Bool("update", false, "write docs/metrics.md anew")

// others are metrics of other programs that the alerts and the dashboard look at.
// TestCompose asks Prometheus for them.
var others = []struct{ name, kind, what, normal string }{
	{"up", "gauge", "1 while Prometheus gets an answer from a target; its own.", "1; 0 for TaskManagers without a subtask of the job"},
	{"process_cpu_seconds_total", "counter", "CPU time of a process of ours; of the Go client.", "steady"},
	{"process_resident_memory_bytes", "gauge", "Memory of a process of ours; of the Go client.", "steady"},
	{"go_goroutines", "gauge", "Goroutines of a process of ours; of the Go client.", "steady; a few for each open request or stream"},
	{"flink_jobmanager_numRunningJobs", "gauge", "Jobs that Flink runs.", "1"},
	{"flink_jobmanager_taskSlotsAvailable", "gauge", "Free slots of all TaskManagers.", "as many as one TaskManager has"},
	{"flink_jobmanager_job_numberOfCompletedCheckpoints", "gauge", "Checkpoints that were completed since the job began.", "one more each --checkpoint-interval"},
	{"flink_jobmanager_job_numberOfFailedCheckpoints", "gauge", "Checkpoints that failed.", "0, one now and then"},
	{"flink_jobmanager_job_lastCheckpointSize", "gauge", "Bytes that the last checkpoint wrote.", "steady after the longest window"},
	{"flink_jobmanager_job_lastCheckpointDuration", "gauge", "Milliseconds that it took.", "below 1,000"},
	{"flink_jobmanager_job_numRestarts", "gauge", "Times that the job was restarted.", "0"},
	{"flink_taskmanager_Status_JVM_Memory_Heap_Used", "gauge", "Bytes of Java's heap that are in use, garbage included.", "below 90 % of the most"},
	{"flink_taskmanager_Status_JVM_Memory_Heap_Max", "gauge", "Bytes that Java's heap may have.", "taskmanager.memory.task.heap.size and some"},
}

const metricsHead = `# Metrics

Generated from the services themselves: ` + "`go generate ./e2e/deploy`" + `. Each process serves them at ` + "`/metrics`" + `, those of the
pipeline at ` + "`--metrics-addr`" + ` or ` + "`--worker-metrics-addr`" + `; ` + "`pulseboard run`" + ` serves all of them at its one address. What to do
when one of them is not normal: [operations.md](operations.md). Drawn: [deploy/grafana/pulseboard.json](../deploy/grafana/pulseboard.json).

A metric without a unit is a number of what its name says. A histogram has the series ` + "`_bucket`, `_sum` and `_count`" + `.
Fan-out is ` + "`rate(pulseboard_gateway_updates_total[5m]) / rate(pulseboard_gateway_messages_total[5m])`" + `.
`

var titles = map[string]string{
	"ingest":    "ingest: from POST /ingest to Kafka",
	"pipeline":  "pipeline: from Kafka to Redis",
	"gateway":   "gateway: from Redis to clients",
	"configsvc": "config service",
	"canary":    "canary: an event a second through all of these",
	"run":       "pulseboard run",
}

// cell escapes what would end a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "__", `\_\_`).Replace(text)
}

func metricsPage(all []*ourMetric) string {
	var b strings.Builder
	b.WriteString(metricsHead)
	table := func(of []*ourMetric) {
		b.WriteString("\n| metric | type | unit | labels | what it says | normal |\n|---|---|---|---|---|---|\n")
		for _, m := range of {
			labels := ""
			for i, l := range m.labels {
				if i > 0 {
					labels += ", "
				}
				labels += "`" + l + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", m.name, m.kind, m.unit(), labels, cell(m.what), cell(strings.TrimSuffix(m.normal, ".")))
		}
	}
	in := func(keep func(*ourMetric) bool) (out []*ourMetric) {
		for _, m := range all {
			if keep(m) {
				out = append(out, m)
			}
		}
		return out
	}
	for _, p := range processes {
		b.WriteString("\n## " + titles[p] + "\n")
		table(in(func(m *ourMetric) bool { return len(m.processes) == 1 && m.processes[0] == p }))
	}
	b.WriteString("\n## Of each HTTP server\n\nOf every process. In `pulseboard run` there is one for all.\n")
	table(in(isServers))
	guarded := in(func(m *ourMetric) bool { return len(m.processes) > 1 && !isServers(m) && !isHealth(m) })
	b.WriteString("\n## Of several processes\n\nOf each that is started with `--tokens`: " + strings.Join(guarded[0].processes, ", ") + ".\n")
	table(guarded)
	b.WriteString("\n## Of /readyz, and of the audit log\n\nOf every process; those of the audit log where there is one (`--audit-log`).\n")
	table(in(isHealth))
	b.WriteString("\n## Of other programs\n\nThose that the alerts and the dashboard look at. Processes of ours have those of the Go client too, `go_…` and `process_…`.\n")
	b.WriteString("\n| metric | type | what it says | normal |\n|---|---|---|---|\n")
	for _, o := range others {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o.name, o.kind, o.what, o.normal)
	}
	return b.String()
}

func isHealth(m *ourMetric) bool {
	return m.name == "pulseboard_ready" || strings.HasPrefix(m.name, "pulseboard_audit_")
}

func isServers(m *ourMetric) bool {
	return strings.HasPrefix(m.name, "pulseboard_http_") || strings.HasPrefix(m.name, "pulseboard_tls_")
}

// The page is what the services say today.
func TestMetricsPage(t *testing.T) {
	all := inventory(t)
	for _, m := range all {
		if m.processes[0] != all[0].processes[0] && len(m.processes) > 1 && !strings.HasPrefix(m.name, "pulseboard_auth_") && !isServers(m) && !isHealth(m) {
			t.Errorf("%s is of %v: the page has no place for it", m.name, m.processes)
		}
	}
	want, path := metricsPage(all), filepath.Join(root, "docs", "metrics.md")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if read(t, "docs", "metrics.md") != want {
		t.Error("docs/metrics.md is not what the services say: run go generate ./e2e/deploy")
	}
}

// Each says what it is, what is normal, and its unit.
func TestMetricsSayWhatTheyAre(t *testing.T) {
	all := inventory(t)
	if len(all) < 60 {
		t.Fatalf("only %d metrics were found", len(all))
	}
	units := regexp.MustCompile(`_(seconds|bytes|timestamp_seconds)(_total)?$`)
	time := regexp.MustCompile(`\b(time|duration|age|how old|how far|how long)\b`)
	for _, m := range all {
		if !strings.HasPrefix(m.name, "pulseboard_") {
			t.Errorf("%s is no name of ours", m.name)
		}
		if (m.kind == "counter") != strings.HasSuffix(m.name, "_total") {
			t.Errorf("%s is a %s: counters end in _total, and nothing else does", m.name, m.kind)
		}
		if m.kind == "histogram" && m.unit() == "" {
			t.Errorf("%s is a histogram without a unit in its name", m.name)
		}
		if m.kind != "counter" && time.MatchString(strings.ToLower(strings.SplitN(m.what, ":", 2)[0])) && !units.MatchString(m.name) {
			t.Errorf("%s is a time without seconds in its name: %s", m.name, m.what)
		}
		if len(m.what) < 10 || !strings.HasSuffix(m.what, ".") || m.normal == "" || !strings.HasSuffix(m.normal, ".") {
			t.Errorf("%s: its help %q, normal %q: it must say what it is, and after \"Normal: \" what is normal", m.name, m.what, m.normal)
		}
	}
}

// known are the series that exist: ours, and those of others that we look at.
func known(t *testing.T) map[string]bool {
	t.Helper()
	have := map[string]bool{}
	for _, m := range inventory(t) {
		have[m.name] = true
		if m.kind == "histogram" {
			delete(have, m.name)
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				have[m.name+part] = true
			}
		}
	}
	for _, o := range others {
		have[o.name] = true
	}
	have["ALERTS"] = true
	return have
}

// series returns the names and labels that an expression asks for.
func series(t *testing.T, where, expr string) map[string][]string {
	t.Helper()
	e, err := metricsql.Parse(expr)
	if err != nil {
		t.Errorf("%s: %s: %v", where, expr, err)
		return nil
	}
	out := map[string][]string{}
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		m, ok := e.(*metricsql.MetricExpr)
		if !ok {
			return
		}
		for _, filters := range m.LabelFilterss {
			name, labels := "", []string{}
			for _, f := range filters {
				if f.Label == "__name__" {
					name = f.Value
				} else {
					labels = append(labels, f.Label)
				}
			}
			out[name] = append(out[name], labels...)
		}
	})
	return out
}

// asks checks an expression: it can be read, and what it asks for exists.
func asks(t *testing.T, have map[string]bool, labels map[string][]string, where, expr string) {
	t.Helper()
	for name, used := range series(t, where, expr) {
		if !have[name] {
			t.Errorf("%s: nothing has the metric %s", where, name)
		}
		for _, l := range used {
			if own, ours := labels[name]; ours && !slices.Contains(own, l) && !slices.Contains([]string{"job", "instance", "le"}, l) {
				t.Errorf("%s: %s has no label %s", where, name, l)
			}
		}
	}
}

// labelsOf are the labels of ours, by series.
func labelsOf(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, m := range inventory(t) {
		for _, part := range []string{"", "_bucket", "_sum", "_count"} {
			out[m.name+part] = m.labels
		}
	}
	return out
}

// rule is an alert.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, filepath.Join("prometheus", "alerts.yml"), &file)
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("only %d alerts were read", len(all))
	}
	return all
}

// sections are the texts below the third level's headings of the operators' page.
func sections(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range strings.Split("\n"+read(t, "docs", "operations.md"), "\n### ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		out[name] = strings.TrimSpace(text)
	}
	return out
}

// Each alert asks for what exists, says how bad it is, and leads to a paragraph
// that says what it means, where to look and what to do; and no paragraph is of
// an alert that is gone.
func TestAlertsHaveARunbook(t *testing.T) {
	have, labels, page := known(t), labelsOf(t), sections(t)
	for _, r := range alerts(t) {
		asks(t, have, labels, r.Alert, r.Expr)
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s: its severity is %q: page or ticket", r.Alert, s)
		}
		if r.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", r.Alert)
		}
		if want := "docs/operations.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
			t.Errorf("%s: its runbook is %q, want %s", r.Alert, r.Annotations["runbook"], want)
		}
		text, ok := page[r.Alert]
		if !ok {
			t.Errorf("docs/operations.md has no heading %s", r.Alert)
			continue
		}
		for _, part := range []string{"**Means**", "**Look**", "**Do**"} {
			if !strings.Contains(text, part) {
				t.Errorf("docs/operations.md, %s: it has no %s", r.Alert, part)
			}
		}
		delete(page, r.Alert)
	}
	for name, text := range page {
		if strings.Contains(text, "**Means**") {
			t.Errorf("docs/operations.md tells of an alert %s that does not exist", name)
		}
	}
}

var metricName = regexp.MustCompile(`\b(?:pulseboard|flink)_\w+`)

// Pages of docs and files of deploy name metrics that exist.
func TestPagesNameMetricsThatExist(t *testing.T) {
	have := known(t)
	for _, m := range inventory(t) {
		have[m.name] = true // Of a histogram, in prose.
	}
	for _, page := range []string{"operations.md", "reliability.md", "access.md", "catalog.md", "semantics.md"} {
		for _, name := range metricName.FindAllString(read(t, "docs", page), -1) {
			if !have[name] && name != cookieName {
				t.Errorf("docs/%s: nothing has the metric %s", page, name)
			}
		}
	}
}

// promtool reads the files as Prometheus does, and makes each alert fire.
func TestPrometheusReadsItsFiles(t *testing.T) {
	tool, ok := installed("promtool")
	if !ok {
		t.Skip("promtool is not installed: it is in Debian's package prometheus")
	}
	dir := filepath.Join(root, "deploy", "prometheus")
	for _, args := range [][]string{
		{"check", "config", filepath.Join(dir, "prometheus.yml")},
		{"check", "rules", filepath.Join(dir, "alerts.yml")},
		{"test", "rules", filepath.Join(dir, "alerts_test.yml")},
	} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// The tests that promtool runs make each alert fire, see it silent before and
// after, and know each series of each alert as it is when all is well.
func TestEachAlertIsTested(t *testing.T) {
	type at struct {
		Alert  string `yaml:"alertname"`
		Time   string `yaml:"eval_time"`
		Expect []any  `yaml:"exp_alerts"`
	}
	var file struct {
		Tests []struct {
			Name   string `yaml:"name"`
			Series []struct {
				Series string `yaml:"series"`
			} `yaml:"input_series"`
			Alerts []at `yaml:"alert_rule_test"`
			Exprs  []struct {
				Expr    string `yaml:"expr"`
				Samples []any  `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		} `yaml:"tests"`
	}
	readYAML(t, filepath.Join("prometheus", "alerts_test.yml"), &file)
	well, fires, silent := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, test := range file.Tests {
		if len(test.Exprs) > 0 && test.Exprs[0].Expr == `ALERTS{alertstate="firing"}` && len(test.Exprs[0].Samples) == 0 {
			for _, s := range test.Series {
				name, _, _ := strings.Cut(s.Series, "{")
				well[name] = true
			}
		}
		for _, a := range test.Alerts {
			if len(a.Expect) > 0 {
				fires[a.Alert] = true
			} else {
				silent[a.Alert]++
			}
		}
	}
	for _, r := range alerts(t) {
		if !fires[r.Alert] || silent[r.Alert] < 2 {
			t.Errorf("alerts_test.yml: %s fires: %v, and is silent %d times; it must fire, and be silent before and after", r.Alert, fires[r.Alert], silent[r.Alert])
		}
		for name := range series(t, r.Alert, r.Expr) {
			if !well[name] {
				t.Errorf("alerts_test.yml: %s looks at %s, which is not among the series when all is well", r.Alert, name)
			}
		}
	}
}

// panel is what the tests need of Grafana's.
type panel struct {
	ID          int    `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Type        string `json:"type"`
	GridPos     struct{ X, Y, W, H int }
	Datasource  struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	} `json:"datasource"`
	Targets []struct {
		Expr  string `json:"expr"`
		RefID string `json:"refId"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Panels []panel `json:"panels"`
}

// Grafana's dashboard is one that it can import: ids are unique, nothing lies on
// anything else, every query can be read and asks for what exists, and every
// panel says its unit, and what it shows.
func TestGrafanaDashboard(t *testing.T) {
	var d struct {
		UID           string  `json:"uid"`
		Title         string  `json:"title"`
		SchemaVersion int     `json:"schemaVersion"`
		Panels        []panel `json:"panels"`
		Templating    struct {
			List []struct{ Name, Type, Query string } `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal([]byte(read(t, "deploy", "grafana", "pulseboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 38 {
		t.Errorf("uid %q, title %q, schemaVersion %d: Grafana 10 and later want 38 or more", d.UID, d.Title, d.SchemaVersion)
	}
	if len(d.Templating.List) == 0 || d.Templating.List[0].Type != "datasource" || d.Templating.List[0].Query != "prometheus" {
		t.Errorf("the first variable is no choice of a Prometheus: %+v", d.Templating.List)
	}
	source := "${" + d.Templating.List[0].Name + "}"
	have, labels := known(t), labelsOf(t)
	ids, taken, rows, shown := map[int]bool{}, map[[2]int]string{}, []string{}, map[string]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: the id %d is another's", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, on := taken[[2]int{x, y}]; on {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s does not lie within 24 columns: %+v", p.Title, p.GridPos)
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != source || len(p.Targets) == 0 {
			t.Errorf("panel %d, %q: it must say what it shows, of which unit, from %s", p.ID, p.Title, source)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] || target.RefID == "" {
				t.Errorf("%s: two queries are %q", p.Title, target.RefID)
			}
			refs[target.RefID] = true
			expr := strings.NewReplacer("$__rate_interval", "1m", "$__interval", "1m", "$__range", "1h").Replace(target.Expr)
			asks(t, have, labels, p.Title, expr)
			for name := range series(t, p.Title, expr) {
				shown[name] = true
			}
		}
	}
	want := []string{"The promise", "ingest", "Kafka lag", "pipeline", "Redis", "gateway", "config service", "Flink", "Processes"}
	if !slices.Equal(rows, want) {
		t.Errorf("rows %q, want %q", rows, want)
	}
	// What an alert looks at can be looked at.
	for _, r := range alerts(t) {
		for name := range series(t, r.Alert, r.Expr) {
			if !shown[name] {
				t.Errorf("no panel shows %s, which %s looks at", name, r.Alert)
			}
		}
	}
}
