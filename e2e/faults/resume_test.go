package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/pipeline/runners/flink/flinkapi"
	"pulseboard/registry"
	"pulseboard/wire"
)

// await repeats a check until it holds.
func await(t *testing.T, what string, ok func() error) {
	t.Helper()
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for limit := time.Now().Add(patience); ; <-every.C {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("waited too long for %s: %v", what, err)
		}
	}
}

// operator runs subcommands of the pipeline program.
type operator struct {
	t      *testing.T
	path   string
	rest   string
	log    *testenv.Buffer // All that they print.
	secret flinkapi.Secret // Of a Flink of one machine.
}

// try returns what a command answers, and its complaint when it fails.
func (o *operator) try(name string, args ...string) (answer string, complaint error) {
	o.t.Helper()
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(o.t.Context(), o.path, append([]string{name, "--rest", o.rest}, args...)...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, o.log), io.MultiWriter(&complaints, o.log)
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("pipeline %s: %w: %s", name, err, complaints.String())
	}
	return strings.TrimSpace(out.String()), nil
}

func (o *operator) do(name string, args ...string) (answer string) {
	o.t.Helper()
	answer, err := o.try(name, args...)
	if err != nil {
		o.t.Fatal(err)
	}
	return answer
}

// refused runs a command that must fail, and say this.
func (o *operator) refused(text, name string, args ...string) {
	o.t.Helper()
	answer, err := o.try(name, args...)
	if err == nil || !strings.Contains(err.Error(), text) {
		o.t.Errorf("pipeline %s answers %q and fails with %v; want %q", name, answer, err, text)
	}
}

func (o *operator) find() (flinkapi.Job, error) {
	return flinkapi.NewClient(o.rest, o.secret).Find(o.t.Context(), "pulseboard")
}

// job is the one that runs.
func (o *operator) job() flinkapi.Job {
	o.t.Helper()
	j, err := o.find()
	if err != nil || j.State != "RUNNING" {
		o.t.Errorf("the job is %+v, %v", j, err)
	}
	return j
}

// awaitJob waits until a job that is the one meant runs.
func (o *operator) awaitJob(what string, meant func(flinkapi.Job) bool) {
	o.t.Helper()
	await(o.t, what, func() error {
		j, err := o.find()
		if err == nil && (j.State != "RUNNING" || !meant(j)) {
			err = fmt.Errorf("the job is %+v", j)
		}
		return err
	})
}

func (o *operator) checkpoints() flinkapi.Checkpoints {
	o.t.Helper()
	cp, err := flinkapi.NewClient(o.rest, o.secret).Checkpoints(o.t.Context(), o.job().ID)
	if err != nil {
		o.t.Fatal(err)
	}
	return cp
}

// checkpoint waits until the job has completed a checkpoint of its own.
func (o *operator) checkpoint() (newest flinkapi.Checkpoint) {
	o.t.Helper()
	await(o.t, "a checkpoint", func() error {
		cp := o.checkpoints()
		if cp.Latest.Completed == nil {
			return errors.New("there is none")
		}
		newest = *cp.Latest.Completed
		return nil
	})
	return newest
}

// beganWith checks that the job went on from there.
func (o *operator) beganWith(path string) {
	o.t.Helper()
	if r := o.checkpoints().Latest.Restored; r == nil || onDisk(r.Path) != onDisk(path) {
		o.t.Errorf("the job went on from %+v, not from %s", r, path)
	}
}

// onDisk is the path of a file URI, of which Flink writes two forms.
func onDisk(uri string) string { return "/" + strings.TrimLeft(strings.TrimPrefix(uri, "file:"), "/") }

func entry(q metric.Query) wire.QueryEntry {
	return wire.QueryEntry{Query: q, RefreshMs: []int64{1000}}
}

func byKey(queries ...metric.Query) map[string]wire.QueryEntry {
	entries := map[string]wire.QueryEntry{}
	for _, q := range queries {
		entries[q.Key()] = entry(q)
	}
	return entries
}

// publishWith makes the queries of every test known, and more.
func publishWith(t *testing.T, addr string, more ...map[string]wire.QueryEntry) {
	t.Helper()
	store, err := registry.Open(t.Context(), redisconn.At(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // It was written.
	all := demands()
	for _, m := range more {
		maps.Copy(all, m)
	}
	if err := store.Publish(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// Everything an operator does to a job on a cluster: it goes on where it was,
// also with queries that came while it was stopped.
func TestSavepointsAndResume(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 1, topics()...)
	server := testenv.StartRedis(t)
	early := byKey(metric.Query{Metric: metricName(5), Aggregation: "p50", WindowSeconds: 10})
	publishWith(t, server.Addr(), early)
	cluster := testenv.StartFlink(t, 1)
	logs := filepath.Join(t.TempDir(), "log")
	log := new(testenv.Buffer)
	o := &operator{t: t, path: testenv.Build(t, "pipeline"), rest: cluster.REST(), log: log}
	submit := []string{
		"--kafka", kafka.Addr(0), "--redis", server.Addr(), "--job-endpoint", cluster.Endpoint(),
		"--jars-there", "--checkpoint-interval", "3s", "--worker-logs", logs, "--worker-metrics-addr", "127.0.0.1:0",
	}
	from := func(path string) []string { return append(slices.Clone(submit), "--savepoint", path) }
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 100*time.Millisecond)}
	showLogs(t, log, logs)

	r.fault("submit", func() { o.do("submit", submit...) })
	o.checkpoint()
	if status := o.do("status"); !strings.Contains(status, "RUNNING") || !strings.Contains(status, "newest") || !strings.Contains(status, "/chk-") {
		t.Errorf("the status names no checkpoint:\n%s", status)
	}
	began := o.job()
	o.refused("a job of this name is running already", "submit", submit...)

	r.fault("savepoint; the job goes on", func() { wholeOnDisk(t, o.do("savepoint")) })
	if now := o.job(); now.ID != began.ID {
		t.Errorf("the job is %s now, not %s", now.ID, began.ID)
	}

	var path string
	r.fault("savepoint --stop; submit --savepoint", func() {
		path = o.do("savepoint", "--stop")
		wholeOnDisk(t, path)
		o.refused("the job is not running: FINISHED", "status")
		o.do("submit", append(from(path), "--checkpoint-interval", "240h")...) // It comes to none of its own: the first one is at random within it.
	})
	o.beganWith(path)

	r.fault("cancel before a checkpoint; submit", func() {
		if newest := o.do("cancel"); onDisk(newest) != onDisk(path) {
			t.Errorf("pipeline cancel prints %q: the job began with %s, and had no checkpoint yet", newest, path)
		}
		o.do("submit", from(path)...)
	})
	o.beganWith(path)
	o.checkpoint()

	r.fault("cancel; submit from the printed checkpoint", func() {
		path = o.do("cancel")
		wholeOnDisk(t, path)
		o.refused("the job is not running: CANCELED", "status")
		o.do("submit", from(path)...)
	})
	o.beganWith(path)
	o.checkpoint()

	late := byKey(
		metric.Query{Metric: metricName(3), Aggregation: "p95", WindowSeconds: 10, GroupBy: []string{"host"}},
		metric.Query{Metric: metricName(4), Aggregation: metric.Min, WindowSeconds: 45, GroupBy: []string{"host"}},
		metric.Query{Metric: metricName(5), Aggregation: "p95", WindowSeconds: 30}, // Of this metric there was a percentile before.
		metric.Query{Metric: metricName(6), Aggregation: metric.Sum, WindowSeconds: 90, Filter: metric.Filter{{Tag: "host", Op: metric.In, Values: []string{"h1", "h2", "h50"}}}},
	)
	var stopped int64
	r.fault("savepoint --stop; 4 more queries; submit", func() {
		path = o.do("savepoint", "--stop")
		stopped = time.Now().UnixMilli()
		publishWith(t, server.Addr(), early, late)
		o.do("submit", from(path)...)
	})
	o.beganWith(path)
	o.checkpoint()

	r.fault("JobManager: kill -9; submit --savepoint FOLDER", func() {
		cluster.JobManager.Kill()
		cluster.JobManager.Start()
		cluster.Ready()
		o.refused("no such job", "status")
		var err error
		if path, err = flinkapi.Newest(cluster.State()); err != nil {
			t.Fatal(err)
		}
		o.do("submit", from(cluster.State())...)
	})
	o.beganWith(path)
	if !strings.Contains(path, "/chk-") {
		t.Errorf("the newest below the folder is %s: no checkpoint", path)
	}

	o.job()
	all := maps.Clone(late)
	maps.Copy(all, early)
	keys := slices.Sorted(maps.Keys(all))
	for _, key := range keys {
		e, since := all[key], int64(0)
		if e.Query.Metric == metricName(3) {
			// Before the stop nobody asked for a percentile of it: the windows with
			// events of that time say that they are not whole (docs/semantics.md).
			since = stopped
		}
		r.compareHistory(key, e, stopped, since)
	}
	r.keepHistories(keys)
	r.finish()
}

// wholeOnDisk checks that a savepoint or a checkpoint is there, to the last file.
func wholeOnDisk(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(onDisk(path), "_metadata")); err != nil {
		t.Errorf("%q is no savepoint: %v", path, err)
	}
}

func (w *watch) history(ctx context.Context, key string) (map[int64]string, error) {
	entries, err := w.client.XRange(ctx, "history:"+key+"@1000", "-", "+").Result()
	texts := make(map[int64]string, len(entries))
	for _, e := range entries {
		text, _ := e.Values["r"].(string)
		id, _, _ := strings.Cut(e.ID, "-")
		end, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return nil, err
		}
		texts[end] = text
	}
	return texts, err
}

// keepHistories makes the watch know the past of queries of which it saw messages
// only: the comparison begins when all that it knows begins.
func (r *run) keepHistories(keys []string) {
	r.t.Helper()
	for _, key := range keys {
		texts, err := r.watch.history(r.t.Context(), key)
		if err != nil {
			r.t.Fatal(err)
		}
		r.watch.mu.Lock()
		for _, text := range texts {
			e := &result{text: text}
			if err := json.Unmarshal([]byte(text), e); err != nil {
				r.t.Error(err)
				continue
			}
			r.watch.keep(e)
		}
		r.watch.mu.Unlock()
	}
}

// value is one event, as the comparison needs it.
type value struct {
	x    float64
	tags metric.Tags
}

// values are those of a record, made again.
func (s *sent) values(t *testing.T) (out []value) {
	t.Helper()
	_, n, _ := strings.Cut(s.id, "-")
	number, err := strconv.Atoi(n)
	if err != nil {
		t.Fatal(err)
	}
	var record struct {
		Events []struct {
			Value float64           `json:"value"`
			Tags  map[string]string `json:"tags"`
		} `json:"events"`
	}
	if err := json.Unmarshal(makeRecord(s.metric, number, int(s.events), s.at).value, &record); err != nil {
		t.Fatal(err)
	}
	for _, e := range record.Events {
		out = append(out, value{e.Value, metric.NewTags(e.Tags)})
	}
	return out
}

// compareHistory compares each point of the history of a query with the log:
// from its first, which must be well before the job was stopped, to now, without a
// hole. Windows that begin before since may say that they are not complete.
func (r *run) compareHistory(key string, e wire.QueryEntry, stopped, since int64) {
	r.t.Helper()
	now := time.Now().UnixMilli() / 1000 * 1000
	var texts map[int64]string
	await(r.t, "the newest result of "+key, func() (err error) {
		if texts, err = r.watch.history(r.t.Context(), key); err == nil && texts[now] == "" {
			err = fmt.Errorf("it is not among %d", len(texts))
		}
		return err
	})
	type stored struct {
		*sent

		values []value
	}
	var records []stored
	for _, s := range r.load.acknowledged() {
		if s.metric == metricOf(e) {
			kept := s.values(r.t)
			kept = slices.DeleteFunc(kept, func(v value) bool { return !e.Query.Filter.Match(v.tags) })
			records = append(records, stored{s, kept})
		}
	}
	first := slices.Min(slices.Collect(maps.Keys(texts)))
	if first > stopped-20_000 {
		r.t.Errorf("the history of %s begins at %d, too near to the stop at %d", key, first, stopped)
	}
	lost, wrong, partial, loose, across, right := 0, 0, 0, 0, 0, 0
	for end := first; end <= now; end += 1000 {
		begin := end - int64(e.Query.WindowSeconds)*1000
		if texts[end] == "" {
			lost++
			continue
		}
		got, err := wire.DecodeResult(texts[end])
		if err != nil {
			r.t.Fatal(err)
		}
		if !got.Complete && begin < since {
			partial++
			continue
		}
		groups, all, overtaken := map[string][]float64{}, 0, 0
		for _, s := range records {
			if s.at < begin || s.at >= end {
				continue
			}
			for _, v := range s.values {
				name := v.tags.Pick(e.Query.GroupBy).String()
				groups[name] = append(groups[name], v.x)
			}
			all += len(s.values)
			if s.acked-s.at > inTime && end < s.acked+2000 {
				overtaken += len(s.values)
			}
		}
		counted := 0
		for _, s := range got.Series {
			counted += int(s.Count)
		}
		switch fault := compareGroups(e.Query.Aggregation, groups, got); {
		case fault == "":
			right++
			if begin < stopped && end > stopped {
				across++
			}
		case got.Complete && counted < all && counted >= all-overtaken:
			loose++ // What Kafka got too late may be left out, as of every query.
		default:
			if wrong++; wrong <= 3 {
				r.t.Logf("wrong: %s %d: %s", key, end, fault)
			}
		}
	}
	line := fmt.Sprintf("%s: from %d s before the stop to %d s after it: %d right, %d of them across the stop; %d without an event that came late, %d not complete; lost %d, wrong %d",
		key, (stopped-first)/1000, (now-stopped)/1000, right, across, loose, partial, lost, wrong)
	r.t.Log(line)
	r.lines = append(r.lines, line)
	if lost+wrong > 0 || right == 0 || across == 0 && since == 0 {
		r.t.Error(line)
	}
}

// compareGroups says what of a result is not as these values make it.
func compareGroups(a metric.Aggregation, groups map[string][]float64, got *wire.Result) string {
	if !got.Complete {
		return "it is not complete"
	}
	for _, s := range got.Series {
		values := groups[s.Tags.String()]
		delete(groups, s.Tags.String())
		if int(s.Count) != len(values) {
			return fmt.Sprintf("%v has %d events, want %d", s.Tags, s.Count, len(values))
		}
		if len(values) == 0 {
			continue
		}
		low, high := expected(a, values)
		if s.Value == nil || *s.Value < low || *s.Value > high {
			text, _ := json.Marshal(s) // It came as JSON.
			return fmt.Sprintf("%s, want %g to %g", text, low, high)
		}
	}
	if len(groups) > 0 {
		return fmt.Sprintf("%d groups are missing", len(groups))
	}
	return ""
}

// expected is between what the value of these, at least one, must be.
func expected(a metric.Aggregation, values []float64) (low, high float64) {
	slices.Sort(values)
	if of, outOf, ok := a.Percentile(); ok {
		x := values[of*uint64(len(values)-1)/outOf]
		return x - math.Abs(x)*.01, x + math.Abs(x)*.01
	}
	if a == metric.Min {
		return values[0], values[0]
	}
	sum := 0.0 // Of whole numbers: it is exact.
	for _, x := range values {
		sum += x
	}
	return sum, sum
}

// workerMetrics returns the address where a worker serves its metrics, by its log.
func workerMetrics(t *testing.T, logs string, pid int) (addr string) {
	t.Helper()
	await(t, "the address of a worker's metrics", func() error {
		b, err := os.ReadFile(filepath.Join(logs, fmt.Sprintf("pulseboard-worker-%d.log", pid)))
		if err != nil {
			return err
		}
		m := regexp.MustCompile(`metrics are served.*addr=(\S+)`).FindSubmatch(b)
		if m == nil {
			return errors.New("its log does not name it")
		}
		addr = string(m[1])
		return nil
	})
	return addr
}

// sample reads a metric with its labels, as it stands in the text.
func sample(t *testing.T, addr, name string) float64 {
	t.Helper()
	res, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s has no %s", addr, name)
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A worker that is killed when Redis has results that no checkpoint knows of
// computes them again; Redis has them already, and they are neither there twice
// nor other than they were.
func TestKilledBetweenWriteAndCheckpoint(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 1, topics()...)
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	dir := t.TempDir()
	logs := filepath.Join(dir, "log")
	log := new(testenv.Buffer)
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 100*time.Millisecond)}
	showLogs(t, log, logs)
	p := testenv.Start(t, log, testenv.Build(t, "pipeline"), "flink-local", "--kafka", kafka.Addr(0), "--redis", server.Addr(), "--flink-jars", testenv.FlinkJars(), "--dir", dir,
		"--worker-logs", logs, "--worker-metrics-addr", "127.0.0.1:0", "--checkpoint-interval", "30s")
	worker := func() int {
		return testenv.Child(testenv.Child(p.Pid(), "pulseboard.flink.OneMachine"), "--provision_endpoint")
	}
	r.current("the start")
	rest := regexp.MustCompile(`Flink has the job.*rest=(\S+)`).FindStringSubmatch(log.String())
	if rest == nil {
		t.Fatal("the log does not name the REST API")
	}
	o := &operator{t: t, rest: rest[1], log: log, secret: flinkapi.SecretIn(dir)}

	last := o.checkpoint()
	known := r.watch.newest() // At least as new as what the checkpoint knows of.
	const ahead = 5000
	await(t, "results that the checkpoint does not know of", func() error {
		if n := r.watch.newest(); n < known+ahead {
			return fmt.Errorf("the newest is %d, of the checkpoint %d", n, known)
		}
		return nil
	})
	before := map[string]map[int64]string{}
	for key := range demands() {
		texts, err := r.watch.history(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		for end := known + 1000; end <= known+ahead; end += 1000 {
			if texts[end] == "" {
				t.Fatalf("Redis has not accepted %s %d", key, end)
			}
		}
		before[key] = texts
	}
	if cp := o.checkpoints(); cp.Latest.Completed.ID != last.ID || cp.Latest.Restored != nil {
		t.Fatalf("meanwhile there was another checkpoint: %+v", cp)
	}
	r.fault("worker: kill -9, 5 s of results after a checkpoint", func() { signal(t, worker(), syscall.SIGKILL) })
	if restored := o.checkpoints().Latest.Restored; restored == nil || restored.ID != last.ID {
		t.Errorf("the job went on from %+v, not from checkpoint %d", restored, last.ID)
	}
	points := 0
	for key, texts := range before {
		now, err := r.watch.history(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		points += len(texts)
		for end, text := range texts {
			if now[end] != text {
				t.Errorf("%s %d was %.200s and is %.200s", key, end, text, now[end])
			}
		}
	}
	// A worker that begins asks Redis what it has, and computes that again without saying it again; what is said all the same is refused.
	refused := sample(t, workerMetrics(t, logs, worker()), `pulseboard_sink_entries_total{outcome="refused"}`)
	line := fmt.Sprintf("checkpoint %d restored; of %d entries that were there none has changed; Redis refused %.0f that came again", last.ID, points, refused)
	t.Log(line)
	r.lines = append(r.lines, line)
	r.watch.mu.Lock()
	twice := slices.Clone(r.watch.twice)
	r.watch.mu.Unlock()
	if len(twice) > 0 {
		t.Errorf("%d messages came twice, such as %s", len(twice), twice[0])
	}
	r.finish()
}
