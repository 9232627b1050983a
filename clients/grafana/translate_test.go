package grafana

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
	"pulseboard/metric"
)

func testOptions() Options {
	return Options{Window: 60, SendInterval: 15, MaxWindow: 3600, SliceMs: 1000}
}

func testVariables() map[string]*variable {
	return map[string]*variable{
		"host":     {name: "host", kind: "query", listed: true, several: true},
		"port":     {name: "port", kind: "query", listed: true},
		"job":      {name: "job", kind: "constant", value: "api"},
		"interval": {name: "interval", kind: "interval", value: "5m"},
		"auto":     {name: "auto", kind: "interval", value: "auto"},
		"ds":       {name: "ds", kind: "datasource"},
		"top":      {name: "top", kind: "textbox", value: "5"},
	}
}

func newTranslation() *translation {
	known := labels{"known": {"host": true, "b": true, "c": false}}
	return &translation{options: testOptions(), variables: testVariables(), labels: known, timeRange: 21600 / 12}
}

// What becomes of which query, with all conditions and notes. e2e/prometheus compares what is right with Prometheus.
func TestTranslate(t *testing.T) {
	queries, err := os.ReadFile("testdata/queries.txt")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(queries)) {
		line = strings.TrimSuffix(line, "\n")
		b.WriteString(line + "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		tr := newTranslation()
		line, tr.heatmap = strings.CutPrefix(line, "heatmap ")
		got, err := tr.translate(line)
		if err != nil {
			fmt.Fprintf(&b, "    not mapped because %v\n", err)
			continue
		}
		fmt.Fprintf(&b, "    as %s\n", got.query.Key())
		if got.factor != 1 {
			fmt.Fprintf(&b, "    times %g\n", got.factor)
		}
		if got.top > 0 {
			fmt.Fprintf(&b, "    the first %d\n", got.top)
		}
		for _, condition := range tr.rightIf {
			fmt.Fprintf(&b, "    right if %s\n", condition)
		}
		for _, note := range tr.notes {
			fmt.Fprintf(&b, "    noted: %s\n", note)
		}
	}
	testenv.Golden(t, "queries.golden.txt", []byte(b.String()))
}

func TestQueriesTooLong(t *testing.T) {
	for expr, want := range map[string]string{
		strings.Repeat("x+", 10_000) + "x":              "at most 16384",
		`max(x{a="` + strings.Repeat("v", 2000) + `"})`: "no tag value",
	} {
		if got, err := newTranslation().translate(expr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %s, reason %v; want %s", expr, got.query.Key(), err, want)
		}
	}
}

// No text makes the translation panic, and what it gives is a valid query.
func FuzzTranslate(f *testing.F) {
	for _, s := range []string{
		`sum by (le) (rate(x_bucket{a=~"b|c",host="$host"}[$__rate_interval])) / 8`, `histogram_quantile(0.9, sum(rate(x_bucket[1m])) by (le))`,
		`topk(5, max_over_time(x[[[interval]]]))`, `"$host'`, `x{a=~"[^a]"} or vector(0)`, `rate(x_sum[5m]) / rate(x_count[5m])`, "x{a=`\\`}#",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		got, err := newTranslation().translate(expr)
		if err != nil {
			return
		}
		if err := got.query.Validate(); err != nil {
			t.Errorf("%q: %v", expr, err)
		}
		if q, err := metric.ParseKey(got.query.Key()); err != nil || q.Key() != got.query.Key() {
			t.Errorf("%q: key %q: %v", expr, got.query.Key(), err)
		}
		if !(got.factor > 0) {
			t.Errorf("%q: factor %v", expr, got.factor)
		}
	})
}
