package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
)

// call is what a client of StatsD was asked to send.
type call struct {
	Metric string
	Kind   string
	Value  any
	Times  float64
	Tags   map[string]string
}

// number is the value of a call that is none of a set.
func (c *call) number() float64 { return c.Value.(float64) }

// shown is what a widget must show of a metric, by host.
type shown struct {
	metric, aggregation string
	values              map[string]float64
}

// oracle says from the calls alone what widgets of their metrics show.
func oracle(calls []call) (all []*shown) {
	byKey := make(map[string]*shown)
	sets := make(map[string]bool)
	of := func(c *call, aggregation string) (values map[string]float64, host string, known bool) {
		key := c.Metric + " " + aggregation
		if byKey[key] == nil {
			byKey[key] = &shown{c.Metric, aggregation, make(map[string]float64)}
			all = append(all, byKey[key])
		}
		host = c.Tags["host"]
		_, known = byKey[key].values[host]
		return byKey[key].values, host, known
	}
	for i := range calls {
		c := &calls[i]
		switch c.Kind {
		case "counter":
			v, host, _ := of(c, "increase")
			v[host] += c.number() * c.Times
		case "timer":
			v, host, _ := of(c, "sum")
			v[host] += c.number() * c.Times
			v, host, _ = of(c, "count")
			v[host] += c.Times
			v, host, known := of(c, "max")
			if !known || c.number() > v[host] {
				v[host] = c.number()
			}
		case "gauge":
			v, host, _ := of(c, "last")
			v[host] = c.number()
		case "set":
			v, host, _ := of(c, "sum") // Over all its ten seconds.
			if key := fmt.Sprint(c.Metric, host, c.Value); !sets[key] {
				sets[key] = true
				v[host]++
			}
		}
	}
	return all
}

// board is a running program and the dashboard of some metrics.
type board struct {
	t           *testing.T
	log         *testenv.Buffer
	program     *testenv.Program
	url, statsd string
	otlp        string // Over gRPC.
	dashboard   string
	widgets     []string
}

var atStart = regexp.MustCompile(`running: (http://\S+)/\n(?:.*\n)*?  StatsD (\S+), .*\n  OTLP over gRPC (\S+)\n`)

func startBoard(t *testing.T, dir string, args ...string) *board {
	t.Helper()
	b := &board{t: t, log: new(testenv.Buffer)}
	b.program = testenv.Start(t, b.log, testenv.Build(t, "pulseboard"), append([]string{"run", "--addr", "127.0.0.1:0", "--statsd", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--data-dir", dir, "--no-demo", "--no-canary"}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(testenv.Page(b.log.String()))
		}
	})
	testenv.Until(t, "it runs", func(context.Context) error {
		m := atStart.FindStringSubmatch(b.log.String())
		if m == nil {
			return fmt.Errorf("it says %s", b.log)
		}
		b.url, b.statsd, b.otlp = m[1], m[2], m[3]
		return nil
	})
	return b
}

// untilKnown waits until the catalog has the unit and help of a metric.
func (b *board) untilKnown(name string, units, help []string) {
	b.t.Helper()
	testenv.Until(b.t, "the catalog has the unit of "+name, func(context.Context) error {
		var page struct {
			Metrics []struct {
				Name  string   `json:"metric_name"`
				Units []string `json:"units"`
				Help  []string `json:"help"`
			} `json:"metrics"`
		}
		if err := b.ask(http.MethodGet, "/metrics/catalog?query=%5E"+name, nil, &page); err != nil {
			return err
		}
		for _, m := range page.Metrics {
			if m.Name == name && slices.Equal(m.Units, units) && slices.Equal(m.Help, help) {
				return nil
			}
		}
		return fmt.Errorf("it has %+v", page.Metrics)
	})
}

// ask sends a request and reads the answer, of any status below 300.
func (b *board) ask(method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err = io.ReadAll(res.Body)
	if err != nil || res.StatusCode > 299 {
		return fmt.Errorf("%s %s: %s %w: %s", method, path, res.Status, err, text)
	}
	if s, ok := answer.(*string); ok {
		*s = string(text)
		return nil
	}
	return json.Unmarshal(text, answer)
}

// show makes a dashboard of what is to be shown.
func (b *board) show(all []*shown) {
	b.t.Helper()
	widgets := make([]map[string]any, 0, len(all))
	for _, s := range all {
		widgets = append(widgets, map[string]any{"metric_name": s.metric, "aggregation": s.aggregation, "window_seconds": 300, "group_by": []string{"host"}})
	}
	var made struct {
		DashboardID string `json:"dashboard_id"`
		Widgets     []struct {
			WidgetID string `json:"widget_id"`
		} `json:"widgets"`
	}
	testenv.Until(b.t, "there is a dashboard", func(context.Context) error {
		return b.ask(http.MethodPost, "/dashboards", map[string]any{"title": "StatsD", "widgets": widgets}, &made)
	})
	b.dashboard = made.DashboardID
	for _, w := range made.Widgets {
		b.widgets = append(b.widgets, w.WidgetID)
	}
}

// untilShown waits until each widget shows what it should.
func (b *board) untilShown(all []*shown) {
	b.t.Helper()
	for i, s := range all {
		testenv.Until(b.t, fmt.Sprintf("%s of %s is %v", s.aggregation, s.metric, s.values), func(context.Context) error {
			var result struct {
				Series []struct {
					Tags  map[string]string
					Value *float64
				}
			}
			if err := b.ask(http.MethodGet, "/dashboards/"+b.dashboard+"/widgets/"+b.widgets[i]+"/snapshot", nil, &result); err != nil {
				return err
			}
			got := make(map[string]float64)
			for _, r := range result.Series {
				if r.Value != nil {
					got[r.Tags["host"]] = *r.Value
				}
			}
			for host, want := range s.values {
				if v, ok := got[host]; !ok || len(got) != len(s.values) || math.Abs(v-want) > 1e-9*math.Abs(want) {
					return fmt.Errorf("it is %v", got)
				}
			}
			return nil
		})
	}
}

// statsdCalls has a client of others send, and returns what it was asked to.
func statsdCalls(t *testing.T, client, addr string) (calls []call) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), testenv.StatsD(), "testdata/statsd_sender.py", client, host, port)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	said, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	for lines := bufio.NewScanner(bytes.NewReader(said)); lines.Scan(); {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		calls = append(calls, c)
	}
	return calls
}

// What clients of StatsD and of Datadog in Python send is shown as an oracle says that knows only what they were asked to send. What was
// shown is there after kill -9 too, and what is sent then counts beside it.
func TestStatsDClients(t *testing.T) {
	testenv.NeedReal(t)
	for client, signs := range map[string]string{"statsd": "change", "datadog": "value"} {
		t.Run(client, func(t *testing.T) {
			dir := t.TempDir()
			b := startBoard(t, dir, "--statsd-signs", signs)
			calls := statsdCalls(t, client, b.statsd)
			want := oracle(calls)
			b.show(want)
			b.untilShown(want)
			var metrics string
			if err := b.ask(http.MethodGet, "/metrics", nil, &metrics); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(metrics) {
				if strings.HasPrefix(line, "pulseboard_ingest_statsd_lines_total") || strings.HasPrefix(line, "pulseboard_ingest_statsd_kernel") || strings.Contains(line, `format="statsd"`) {
					t.Log(strings.TrimSpace(line))
				}
			}
			if refused := `pulseboard_ingest_events_rejected_total{code="not_a_metric",format="statsd"} 4`; client == "datadog" && !strings.Contains(metrics, refused) {
				t.Errorf("2 events and 2 service checks are not %s", refused)
			}
			if client != "statsd" {
				return
			}
			b.program.Kill()
			again := startBoard(t, dir, "--statsd-signs", signs)
			again.dashboard, again.widgets = b.dashboard, b.widgets
			want = oracle(append(calls, statsdCalls(t, client, again.statsd)...))
			for _, s := range want {
				if s.metric == "py.users" {
					s.values[""] *= 2 // Of different ten seconds.
				}
			}
			again.untilShown(want)
		})
	}
}
