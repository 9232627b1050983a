package faults_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/registry"
)

// run is one whole run: what is done to whom, and what came of it.
type run struct {
	t     *testing.T
	watch *watch
	load  *load
	lines []string
}

// How long a result may stay away after any fault, before the test says that it does for ever.
const patience = 4 * time.Minute

// current waits until the results of all queries are current, and stay so for some seconds.
func (r *run) current(what string) {
	r.t.Helper()
	limit := time.Now().Add(patience)
	steady := time.Time{}
	for every := time.NewTicker(50 * time.Millisecond); ; <-every.C {
		now := time.Now()
		switch {
		case now.UnixMilli()-r.watch.newest() > fresh:
			steady = time.Time{}
			if now.After(limit) {
				r.t.Fatalf("%s: results have not become current again", what)
			}
		case steady.IsZero():
			steady = now
		case now.Sub(steady) > 4*time.Second: // Longer than any fault needs to show.
			return
		}
	}
}

// fault does something and measures how long results stay behind.
func (r *run) fault(name string, do func()) {
	r.t.Helper()
	began := time.Now().UnixMilli()
	do()
	r.current(name)
	line := fmt.Sprintf("%-42s %5.1f s", name, r.watch.recovery(began, time.Now().UnixMilli()))
	r.lines = append(r.lines, line)
	r.t.Log(line)
}

// until lets the load go on until results of that much time are there.
func (r *run) until(d time.Duration) {
	r.t.Helper()
	end := time.Now().Add(d).UnixMilli()
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for limit := time.Now().Add(d + patience); r.watch.newest() < end-end%1000; <-every.C {
		if time.Now().After(limit) {
			r.t.Fatal("results do not come any more")
		}
	}
}

// finish ends the load, waits for its last window and compares everything.
func (r *run) finish() {
	r.t.Helper()
	end := time.Now().UnixMilli() / 1000 * 1000
	r.until(0)
	r.watch.read(r.t.Context(), true)
	r.watch.mu.Lock()
	var from int64
	for _, ends := range r.watch.entries {
		first := end
		for e := range ends {
			first = min(first, e)
		}
		from = max(from, first)
	}
	r.watch.mu.Unlock()
	all := r.load.acknowledged()
	v := r.watch.judge(all, from, end)
	line := fmt.Sprintf("%d events acknowledged, %d of them later than %d ms; %d windows of %d queries compared, %d of them with such an event: lost %d, twice %d, wrong %d",
		v.sent, v.lateEvents, inTime, v.windows, len(demands()), v.loose, v.lost, v.twice, v.wrong)
	r.t.Log(line)
	r.lines = append(r.lines, line)
	if v.lost+v.twice+v.wrong > 0 {
		r.t.Errorf("of %d faults the first are:\n%s", len(v.details), strings.Join(v.details[:min(10, len(v.details))], "\n"))
		stored := r.load.stored(r.t)
		for _, s := range all {
			if stored[s.id] == nil {
				r.t.Logf("record %s was acknowledged, and is not in Kafka", s.id)
			}
		}
		suspects := r.watch.suspects(all, stored)
		r.t.Logf("%d records are missing where they should count, such as:\n%s", len(suspects), strings.Join(suspects[:min(100, len(suspects))], "\n"))
	}
	if file := os.Getenv("FAULTS_OUTPUT"); file != "" {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			r.t.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // Its write is looked at.
		if _, err := fmt.Fprintf(f, "%s\n%s\n\n", r.t.Name(), strings.Join(r.lines, "\n")); err != nil {
			r.t.Error(err)
		}
	}
}

func publish(t *testing.T, addr string) {
	t.Helper()
	store, err := registry.Open(t.Context(), redisconn.At(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // It was written.
	if err := store.Publish(t.Context(), demands()); err != nil {
		t.Fatal(err)
	}
}

func topics() []testenv.Topic {
	return []testenv.Topic{{Name: topic, Partitions: partitions}, {Name: "metric-dead-letters", Partitions: 1}}
}

func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if pid == 0 {
		t.Fatal("the process to be signalled is not there")
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// pause is SIGSTOP for some seconds.
func pause(t *testing.T, pid int, d time.Duration) {
	t.Helper()
	signal(t, pid, syscall.SIGSTOP)
	<-time.After(d)
	signal(t, pid, syscall.SIGCONT)
}

// showLogs shows the ends of the logs of a test that failed.
func showLogs(t *testing.T, log *testenv.Buffer, workers string) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		t.Logf("the end of the log of the pipeline:\n%s", testenv.Page(log.String()))
		logs, _ := filepath.Glob(filepath.Join(workers, "*")) // The pattern is right.
		for _, l := range logs {
			b, _ := os.ReadFile(l)
			t.Logf("%s:\n%s", filepath.Base(l), b[max(0, len(b)-1500):])
			if m := regexp.MustCompile(`metrics are served.*addr=(\S+)`).FindSubmatch(b); m != nil {
				t.Logf("its metrics:\n%s", counters(string(m[1])))
			}
		}
	})
}

// counters are those of a worker that tell of what was left out; none of one that has ended.
func counters(addr string) (lines string) {
	res, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	for s := bufio.NewScanner(res.Body); s.Scan(); {
		if regexp.MustCompile(`^pulseboard_(source_(dup|lost|read_err)|pipeline_(late|too_late|dead|rebuilds|counted)|sink_entries)`).MatchString(s.Text()) {
			lines += s.Text() + "\n"
		}
	}
	return lines
}

// All of a single machine, with one broker: each acknowledged event is counted
// once in every window that holds it, whatever is killed.
func TestSingleMachineLosesNothing(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 1, topics()...)
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	dir := t.TempDir()
	log := new(testenv.Buffer)
	path, args := testenv.Build(t, "pipeline"), []string{
		"flink-local", "--kafka", kafka.Addr(0), "--redis", server.Addr(), "--flink-jars", testenv.FlinkJars(), "--dir", dir,
		"--worker-logs", filepath.Join(dir, "log"), "--checkpoint-interval", "3s",
	}
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 100*time.Millisecond)}
	showLogs(t, log, filepath.Join(dir, "log"))
	p := testenv.Start(t, log, path, args...)
	java := func() int { return testenv.Child(p.Pid(), "pulseboard.flink.OneMachine") }
	worker := func() int { return testenv.Child(java(), "--provision_endpoint") }
	r.current("the start")

	r.fault("worker: kill -9", func() { signal(t, worker(), syscall.SIGKILL) })
	r.fault("Java, with all of Flink: kill -9", func() { signal(t, java(), syscall.SIGKILL) })
	r.fault("supervisor, and all below it: kill -9", func() { p.Kill(); p = testenv.Start(t, log, path, args...) })
	r.fault("the only broker: kill -9", func() { kafka.Broker(0).Kill(); kafka.Restart(0) })
	r.fault("Redis: kill -9, back empty", func() {
		server.Kill()
		server.Restart()
		publish(t, server.Addr()) // As the config service does.
	})
	r.fault("Redis: emptied", func() {
		c := redis.NewClient(&redis.Options{Addr: server.Addr()})
		defer c.Close() //nolint:errcheck // It was told.
		if err := c.FlushAll(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		publish(t, server.Addr())
	})
	r.fault("broker: SIGSTOP for 10 s", func() { pause(t, kafka.Broker(0).Pid(), 10*time.Second) })
	r.fault("worker: SIGSTOP for 10 s", func() { pause(t, worker(), 10*time.Second) })
	r.finish()
}
