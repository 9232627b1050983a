// Command flood fills Pulseboard's memory on purpose, and says whether it held.
//
//	flood -program bin/pulseboard -group 4096 -minutes 10
//
// It starts "pulseboard run" in a memory group of so many MiB (Linux, cgroup
// version 1, root; 0 = in none), sends events of 24 metrics with 16 random tags of
// 256 bytes each, as a broken or hostile producer would, and beside them a known
// number of events of another metric. It prints the memory of each process each
// ten seconds, and at the end a verdict: nothing was killed or started again, the
// canary saw its own events, and the other metric's sum is what was sent. The exit
// code is 1 when one of them is not so.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	program := flag.String("program", "bin/pulseboard", "`path` of pulseboard")
	group := flag.Int("group", 4096, "`MiB` of the memory group; 0 = none")
	length := flag.Duration("for", 10*time.Minute, "`time` of the flood")
	rate := flag.Int("rate", 4100, "`events` a second of the flood")
	worst := flag.Float64("age", 5, "most `seconds` that the canary may be old")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, *program, *group, *length, *rate, *worst)
	if err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
	}
	if err != nil || !ok {
		os.Exit(1) //nolint:forbidigo,gocritic // This is main, and nothing is left to be done.
	}
}

func run(ctx context.Context, program string, mib int, length time.Duration, rate int, worst float64) (bool, error) {
	dir, err := os.MkdirTemp("", "pulseboard-flood-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // It lies among the temporary files.
	args := []string{program, "run", "--addr", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"), "--no-demo"}
	kills := func() int64 { return 0 }
	if mib > 0 {
		g, err := newGroup(mib)
		if err != nil {
			return false, err
		}
		defer g.remove()
		kills = g.kills
		args = append([]string{"sh", "-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, string(g)}, args...)
	}
	p := exec.Command(args[0], args[1:]...) //nolint:noctx // It ends in stop, gently.
	out := &address{found: make(chan string, 1)}
	p.Stdout, p.Stderr = out, os.Stderr
	if err := p.Start(); err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	defer func() {
		_ = p.Process.Signal(syscall.SIGTERM) // It may be gone, which the verdict says.
		select {
		case err := <-ended:
			if err != nil {
				fmt.Println("it ended with", err)
			}
		case <-time.After(30 * time.Second):
			_ = p.Process.Kill()
		}
	}()
	var url string
	select {
	case url = <-out.found:
	case err := <-ended:
		return false, fmt.Errorf("it ended at once: %w", err)
	case <-time.After(2 * time.Minute):
		return false, fmt.Errorf("it did not start")
	}
	v := &verdict{url: url, worst: worst, pid: p.Process.Pid}
	if err := v.define(ctx); err != nil {
		return false, err
	}
	flooding, end := context.WithTimeout(ctx, length)
	defer end()
	var w sync.WaitGroup
	w.Go(func() { v.flood(flooding, rate) })
	w.Go(func() { v.honest(flooding) })
	w.Go(func() { v.watch(flooding, kills) })
	w.Wait()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return v.judge(ctx, kills()), nil
}

// address finds where it listens in what it prints.
type address struct {
	mu    sync.Mutex
	text  []byte
	found chan string
}

var listens = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

func (a *address) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.text != nil || len(b) > 0 {
		a.text = append(a.text, b...)
	}
	if at := listens.Find(a.text); at != nil {
		select {
		case a.found <- string(at):
		default: // Told already.
		}
	}
	return os.Stdout.Write(b)
}

// group is the folder of a memory group.
type group string

func newGroup(mib int) (group, error) {
	g := group(fmt.Sprintf("/sys/fs/cgroup/memory/pulseboard-flood-%d", os.Getpid()))
	if err := os.Mkdir(string(g), 0o755); err != nil {
		return "", fmt.Errorf("cannot make a memory group (cgroup version 1, as root; -group 0 does without): %w", err)
	}
	return g, os.WriteFile(filepath.Join(string(g), "memory.limit_in_bytes"), []byte(strconv.Itoa(mib<<20)), 0)
}

func (g group) kills() int64 {
	text, _ := os.ReadFile(filepath.Join(string(g), "memory.oom_control")) // Without it there are none.
	_, after, _ := strings.Cut(string(text), "oom_kill ")
	n, _ := strconv.ParseInt(strings.TrimSpace(after), 10, 64)
	return n
}

func (g group) remove() {
	for range 100 {
		if os.Remove(string(g)) == nil {
			return
		}
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // Nothing tells when a group is empty.
	}
}

// verdict is what is seen while it lasts.
type verdict struct {
	url   string
	worst float64
	pid   int

	snapshot string // Where the sum of the honest metric is.

	sent, refused atomic.Int64
	honestSum     atomic.Int64
	oldest        float64
	samples, old  int
}

// define makes a dashboard that adds up the honest metric over an hour.
func (v *verdict) define(ctx context.Context) error {
	const dashboard = `{"title":"Flood","widgets":[{"metric_name":"flood.honest","aggregation":"sum","window_seconds":3600,` +
		`"display_config":{"chart":"stat","title":"Sum","position":{"x":0,"y":0,"w":3,"h":3}}}]}`
	status, text, err := v.post(ctx, "/dashboards", dashboard)
	id, widget := dashboardID.FindStringSubmatch(text), widgetID.FindStringSubmatch(text)
	if err == nil && (status/100 != 2 || id == nil || widget == nil) {
		err = fmt.Errorf("the dashboard was refused: %d %s", status, text)
	}
	if err == nil {
		v.snapshot = "/dashboards/" + id[1] + "/widgets/" + widget[1] + "/snapshot"
	}
	return err
}

var (
	dashboardID = regexp.MustCompile(`"dashboard_id": *"([^"]+)"`)
	widgetID    = regexp.MustCompile(`"widget_id": *"([^"]+)"`)
)

func (v *verdict) post(ctx context.Context, path, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	return res.StatusCode, string(text), err
}

func (v *verdict) get(ctx context.Context, path string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url+path, nil)
	if err != nil {
		return ""
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()          //nolint:errcheck // It was only read.
	text, _ := io.ReadAll(res.Body) // What is missing is not found.
	return string(text)
}

const batch = 200

// flood sends a batch at a time, in four connections.
func (v *verdict) flood(ctx context.Context, rate int) {
	jobs := make(chan string)
	var w sync.WaitGroup
	for range 4 {
		w.Go(func() {
			for b := range jobs {
				switch status, _, err := v.post(ctx, "/ingest", b); {
				case err == nil && status == http.StatusOK:
					v.sent.Add(batch)
				default:
					v.refused.Add(batch)
				}
			}
		})
	}
	t := time.NewTicker(time.Second * batch / time.Duration(rate))
	defer t.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		select {
		case <-t.C:
			jobs <- hostile(n)
		case <-ctx.Done():
		}
	}
	close(jobs)
	w.Wait()
}

func hostile(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var b bytes.Buffer
	for i := range batch {
		sep := byte(',')
		if i == 0 {
			sep = '['
		}
		b.WriteByte(sep)
		fmt.Fprintf(&b, `{"metric_name":"flood.m%d","value":%d,"tags":{`, n%24, i)
		for tag := range 16 {
			if tag > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"tag%d":"`, tag)
			for range 256 {
				b.WriteByte(letters[rand.IntN(len(letters))])
			}
			b.WriteByte('"')
		}
		b.WriteString("}}")
	}
	b.WriteByte(']')
	return b.String()
}

// honest sends what is added up at the end, and repeats what was not acknowledged under the same key.
func (v *verdict) honest(ctx context.Context) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for n := int64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		body := fmt.Sprintf(`{"metric_name":"flood.honest","value":%d}`, n%100)
		for {
			// Without the end of the flood: what is under way must be known.
			req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, v.url+"/ingest", strings.NewReader(body))
			if err != nil {
				return
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Idempotency-Key", fmt.Sprint("honest-", n))
			res, err := http.DefaultClient.Do(req)
			if err == nil {
				_ = res.Body.Close()
				if res.StatusCode == http.StatusOK {
					v.honestSum.Add(n % 100)
					break
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
}

// watch prints a line each ten seconds, and remembers how old the canary was.
func (v *verdict) watch(ctx context.Context, kills func() int64) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		m := v.get(ctx, "/metrics")
		age := sum(m, "pulseboard_canary_age_seconds")
		if ctx.Err() == nil {
			v.samples++
			v.oldest = max(v.oldest, age)
			if age > v.worst || m == "" {
				v.old++
			}
		}
		if n%10 == 0 {
			fmt.Printf("%s  %s  counted %.0f of %.0f MiB, series %.0f, other %.0f, canary age %.1f s, restarts %.0f, kills %d\n", time.Now().Format(time.TimeOnly), v.resident(),
				sum(m, "pulseboard_pipeline_state_bytes")/(1<<20), sum(m, "pulseboard_pipeline_state_limit_bytes")/(1<<20), sum(m, "pulseboard_pipeline_series"),
				sum(m, "pulseboard_pipeline_other_events_total"), age, sum(m, "pulseboard_pipeline_restarts_total"), kills())
		}
	}
}

// resident is the memory of run and its children.
func (v *verdict) resident() string {
	of := func(pid string) string {
		text, _ := os.ReadFile("/proc/" + pid + "/status") // One that is gone has none.
		_, after, _ := strings.Cut(string(text), "VmRSS:")
		kib, _ := strconv.Atoi(first(after))
		_, name, _ := strings.Cut(string(text), "Name:")
		return fmt.Sprintf("%s %d MiB", first(name), kib>>10)
	}
	parts := []string{of(strconv.Itoa(v.pid))}
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", v.pid)) // The pattern is right.
	for _, path := range children {
		text, _ := os.ReadFile(path)
		for _, child := range strings.Fields(string(text)) {
			parts = append(parts, of(child))
		}
	}
	return strings.Join(parts, ", ")
}

func first(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}

// sum adds up a metric over its labels.
func sum(metrics, name string) (total float64) {
	for line := range strings.Lines(metrics) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		if i := strings.LastIndexByte(rest, ' '); i >= 0 {
			x, _ := strconv.ParseFloat(strings.TrimSpace(rest[i+1:]), 64)
			total += x
		}
	}
	return total
}

var value = regexp.MustCompile(`"value":(-?[0-9.e+]+)`)

// judge waits until the pipeline has caught up, and says what held.
func (v *verdict) judge(ctx context.Context, kills int64) bool {
	want, got := float64(v.honestSum.Load()), -1.0
	for range 600 {
		if m := value.FindStringSubmatch(v.get(ctx, v.snapshot)); m != nil {
			if got, _ = strconv.ParseFloat(m[1], 64); got == want {
				break
			}
		}
		time.Sleep(time.Second) //nolint:forbidigo // It asks each second.
	}
	restarts := sum(v.get(ctx, "/metrics"), "pulseboard_pipeline_restarts_total")
	held := true
	say := func(ok bool, format string, args ...any) {
		word := "held "
		if !ok {
			held, word = false, "FAILS"
		}
		fmt.Printf("%s  %s\n", word, fmt.Sprintf(format, args...))
	}
	fmt.Printf("\n%d events of the flood were acknowledged, %d not\n", v.sent.Load(), v.refused.Load())
	say(kills == 0 && restarts == 0, "killed by the kernel: %d; ends of the pipeline's process: %.0f", kills, restarts)
	say(v.samples > 0 && v.old == 0, "the canary was %.1f s old at most, and beyond %.0f s in %d of %d looks", v.oldest, v.worst, v.old, v.samples)
	say(got == want, "the sum of the honest metric is %.0f, and %.0f was acknowledged", got, want)
	return held
}
