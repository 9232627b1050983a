package ingest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
)

// readings are what an agent wrote beside what it sent, by metric and host: the same values in a file of another output.
type readings map[string]map[string][]reading

// reading is a value of a time in milliseconds.
type reading struct {
	time  int64
	value float64
}

func (r readings) add(metric, host string, at int64, value float64) {
	if r[metric] == nil {
		r[metric] = map[string][]reading{}
	}
	r[metric][host] = append(r[metric][host], reading{at, value})
}

// shown says what widgets show of them: each reading of a time counts once.
func (r readings) shown(metric string, counter bool) (all []*shown) {
	count, last, grown := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for host, values := range r[metric] {
		newest, seen := int64(0), map[int64]bool{}
		before := values[0].value
		for _, v := range values {
			if seen[v.time] {
				continue
			}
			seen[v.time] = true
			count[host]++
			if v.time >= newest {
				newest, last[host] = v.time, v.value
			}
			grown[host] += v.value - before
			before = v.value
		}
	}
	all = []*shown{{metric, "count", count}, {metric, "last", last}}
	if counter {
		all = append(all, &shown{metric, "increase", grown})
	}
	return all
}

// untilLines waits until a file has so many lines.
func untilLines(t *testing.T, file string, n int) {
	t.Helper()
	testenv.Until(t, fmt.Sprintf("%s has %d lines", filepath.Base(file), n), func(context.Context) error {
		text, err := os.ReadFile(file)
		if got := strings.Count(string(text), "\n"); err == nil && got < n {
			err = fmt.Errorf("it has %d", got)
		}
		return err
	})
}

func startTelegraf(t *testing.T, config string) *testenv.Program {
	t.Helper()
	log := new(testenv.Buffer)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(testenv.Page(log.String()))
		}
	})
	return testenv.Start(t, log, testenv.Telegraf(), "--config", config)
}

// written is the field total in the lines that a Telegraf has written to a file, as readings of a metric.
func written(t *testing.T, file, metric string) (r readings) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r = readings{}
	for line := range strings.Lines(string(text)) {
		_, value, ok := strings.Cut(line, "total=")
		value, _, _ = strings.Cut(value, " ")
		value, _, _ = strings.Cut(value, ",")
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(value, 64)
		ns, err2 := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		if !ok || err != nil || err2 != nil {
			t.Fatalf("%q: %v, %v", line, err, err2)
		}
		r.add(metric, "box a", ns/1_000_000, v)
	}
	return r
}

// A real Telegraf writes the same metrics as lines of both versions, as JSON, and to a file: what is shown is what the file has, though the
// receiver was killed (-9) and came back, so that it wrote them in other batches.
func TestTelegraf(t *testing.T) {
	testenv.NeedReal(t)
	dir, lines := t.TempDir(), filepath.Join(t.TempDir(), "lines")
	b := startBoard(t, dir)
	config := filepath.Join(t.TempDir(), "telegraf.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
[agent]
  interval = "200ms"
  flush_interval = "300ms"
  precision = "1ms"
  metric_batch_size = 7
  omit_hostname = true
[global_tags]
  host = "box a"
[[inputs.mock]]
  metric_name = "tele"
  [[inputs.mock.step]]
    name = "total"
    start = 0.0
    step = 1.5
  [[inputs.mock.constant]]
    name = "text"
    value = "a string"
[[outputs.influxdb]]
  urls = ["%[1]s"]
  name_prefix = "v1."
[[outputs.influxdb_v2]]
  urls = ["%[1]s"]
  token = "none"
  organization = "o"
  bucket = "b"
  name_prefix = "v2."
[[outputs.http]]
  url = "%[1]s/ingest/telegraf"
  data_format = "json"
  json_timestamp_units = "1ms"
  use_batch_format = true
  name_prefix = "json."
[[outputs.file]]
  files = ["%[2]s"]
  data_format = "influx"
`, b.url, lines), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startTelegraf(t, config)
	untilLines(t, lines, 10)
	b.program.Kill()
	again := startBoard(t, dir, "--addr", strings.TrimPrefix(b.url, "http://"))
	untilLines(t, lines, 40)
	if err := p.Stop(); err != nil { // It writes what it has.
		t.Fatal(err)
	}
	r := written(t, lines, "tele.total")
	var want []*shown
	for _, prefix := range []string{"v1.", "v2.", "json."} {
		for _, s := range r.shown("tele.total", false) {
			want = append(want, &shown{prefix + s.metric, s.aggregation, s.values})
		}
	}
	again.show(want)
	again.untilShown(want)
}

// A real collectd writes JSON, and the same values to files of its plugin csv.
func TestCollectd(t *testing.T) {
	testenv.NeedReal(t)
	program, err := exec.LookPath("collectd")
	if err != nil {
		t.Skip("collectd is not installed: it is in Debian's package collectd-core, with libyajl2 and libcurl3-gnutls")
	}
	b := startBoard(t, t.TempDir())
	dir := t.TempDir()
	config, script := filepath.Join(dir, "collectd.conf"), filepath.Join(dir, "values.sh")
	text := fmt.Sprintf(`
Hostname "box"
FQDNLookup false
Interval 0.5
BaseDir %[1]q
PIDFile "%[1]s/pid"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin csv
LoadPlugin load
LoadPlugin uptime
LoadPlugin interface
LoadPlugin write_http
<Plugin csv>
  DataDir "%[1]s/csv"
  StoreRates false
</Plugin>
<Plugin interface>
  Interface "lo"
</Plugin>
<Plugin write_http>
  <Node "pulseboard">
    URL "%[2]s/ingest/collectd"
    Format "JSON"
    BufferSize 4096
  </Node>
</Plugin>
`, dir, b.url)
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.WriteFile(script, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	log := new(testenv.Buffer)
	p := testenv.Start(t, log, program, "-f", "-C", config)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(testenv.Page(log.String()))
		}
	})
	octets := func() string {
		files, _ := filepath.Glob(filepath.Join(dir, "csv", "box", "interface-lo", "if_octets-*"))
		return strings.Join(files, "")
	}
	testenv.Until(t, "collectd has read 20 times", func(context.Context) error {
		text, err := os.ReadFile(octets())
		if n := strings.Count(string(text), "\n"); err == nil && n < 20 {
			err = fmt.Errorf("%d times: %s", n, log)
		}
		return err
	})
	if err := p.Stop(); err != nil { // It writes what it has.
		t.Fatal(err)
	}
	r := readings{}
	for file, metrics := range map[string][]string{
		octets(): {"interface.if_octets.rx", "interface.if_octets.tx"},
		globbed(t, filepath.Join(dir, "csv", "box", "load", "load-*")):     {"load.shortterm", "load.midterm", "load.longterm"},
		globbed(t, filepath.Join(dir, "csv", "box", "uptime", "uptime-*")): {"uptime"},
	} {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			columns := strings.Split(lines.Text(), ",")
			if columns[0] == "epoch" {
				continue
			}
			at, err := strconv.ParseFloat(columns[0], 64)
			if err != nil {
				t.Fatal(lines.Text(), err)
			}
			for i, metric := range metrics {
				v, err := strconv.ParseFloat(columns[i+1], 64)
				if err != nil {
					t.Fatal(lines.Text(), err)
				}
				r.add(metric, "box", int64(at*1000+0.5), v)
			}
		}
		_ = f.Close() // It was only read.
	}
	var want []*shown
	for metric := range r {
		all := r.shown(metric, strings.HasPrefix(metric, "interface"))
		if strings.HasPrefix(metric, "load") {
			all = all[:1] // Of decimals csv writes fewer digits than there are.
		}
		want = append(want, all...)
	}
	b.show(want)
	b.untilShown(want)
	var metrics string
	if err := b.ask(http.MethodGet, "/metrics", nil, &metrics); err != nil || strings.Contains(metrics, `pulseboard_ingest_events_rejected_total{code`) {
		t.Errorf("%v, some are refused: %s", err, metrics)
	}
}

func globbed(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatal(pattern, files, err)
	}
	return files[0]
}
