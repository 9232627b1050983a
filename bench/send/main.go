// Command send posts events at a steady rate to a running pulseboard, then
// compares the counts and sums on its dashboard with what it sent, and says
// what each process of pulseboard used for it.
//
//	go run ./bench/send --url http://127.0.0.1:8080 --pid $(pgrep -f 'pulseboard run') --rate 20000 --for 2m
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pulseboard/internal/conf"
	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/results"
)

const about = `
send posts events at a rate and checks that every one was counted once: a
dashboard with the count and the sum of each metric over a window that holds all
of it must show what was sent. It prints the CPU seconds of each process for a million events.`

func main() { os.Exit(service.Main("send", run)) } //nolint:forbidigo // It is main.

type sender struct {
	url                            string
	pid, rate, batch, metrics, tag int
	length                         time.Duration
	senders                        int
	client                         *http.Client
	redis                          string

	mu        sync.Mutex
	counts    []int64
	sums      []int64
	latencies []time.Duration
	delays    []time.Duration // From the end of a window until its message came from Redis.
}

func run(ctx context.Context, env service.Env) error {
	s := &sender{client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	f := conf.New("send", about)
	f.StringVar(&s.url, "url", "http://127.0.0.1:8080", "`address` of pulseboard")
	f.IntVar(&s.pid, "pid", 0, "`pid` of pulseboard run, whose CPU time and that of its children is told; 0 = nobody's")
	f.IntVar(&s.rate, "rate", 20_000, "`events` a second")
	f.IntVar(&s.batch, "batch", 500, "`events` in a request")
	f.IntVar(&s.metrics, "metrics", 20, "`number` of metrics")
	f.IntVar(&s.tag, "series", 50, "`number` of series of each metric")
	f.IntVar(&s.senders, "senders", 4, "`number` of requests at a time")
	f.DurationVar(&s.length, "for", 2*time.Minute, "`duration` of sending, at most 55m")
	f.StringVar(&s.redis, "redis", "", "`address` of its Redis, to measure window end → message; empty = not")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	s.counts, s.sums = make([]int64, s.metrics), make([]int64, s.metrics)
	paths, err := s.dashboard(ctx)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	if err := s.watch(watching, env.Stdout); err != nil {
		return err
	}
	before := processes(s.pid)
	begin := time.Now()
	sent, late, err := s.send(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if err := s.check(ctx, paths); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.Stdout, "sent %d events in %.1f s: %.0f/s, requests of %d, %d metrics × %d series; %d requests began more than 1 s late\n",
		sent, took.Seconds(), float64(sent)/took.Seconds(), s.batch, s.metrics, s.tag, late)
	slices.Sort(s.latencies)
	n := len(s.latencies)
	_, _ = fmt.Fprintf(env.Stdout, "answered in p50 %v, p99 %v, at most %v\n", s.latencies[n/2].Round(time.Microsecond), s.latencies[n*99/100].Round(time.Microsecond), s.latencies[n-1].Round(time.Microsecond))
	_, _ = fmt.Fprintf(env.Stdout, "every count and every sum of %d metrics is exact\n", s.metrics)
	if slices.Sort(s.delays); len(s.delays) > 0 {
		n := len(s.delays)
		_, _ = fmt.Fprintf(env.Stdout, "window end to message from Redis: p50 %v, p95 %v, p99 %v, at most %v, of %d\n",
			s.delays[n/2], s.delays[n*95/100], s.delays[n*99/100], s.delays[n-1], n)
	}
	for name, after := range processes(s.pid) {
		used := after.cpu - before[name].cpu
		_, _ = fmt.Fprintf(env.Stdout, "%-28s %7.2f CPU s, %6.3f CPU s per million events, %5.1f %% of a core, %4d MB\n", name, used, used/float64(sent)*1e6, 100*used/took.Seconds(), after.rss>>20)
	}
	return nil
}

// window is longer than the sending, so that its last one holds everything.
func (s *sender) window() int { return max(600, int(s.length.Seconds())+120) }

// watch notes each minute how much memory is in use, and how late results are told.
func (s *sender) watch(ctx context.Context, out io.Writer) error {
	go func() {
		for begin := time.Now(); ; {
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
				return
			}
			line := fmt.Sprintf("after %v:", time.Since(begin).Round(time.Second))
			for name, u := range processes(s.pid) {
				line += fmt.Sprintf(" %s %d MB;", name, u.rss>>20)
			}
			_, _ = fmt.Fprintln(out, line)
		}
	}()
	if s.redis == "" {
		return nil
	}
	store, err := results.Open(ctx, s.redis)
	if err != nil {
		return err
	}
	sub := store.Subscribe(ctx, func(_ string, text []byte) {
		if r, err := metric.DecodeResult(text); err == nil {
			s.mu.Lock()
			s.delays = append(s.delays, time.Duration(time.Now().UnixMilli()-r.WindowEnd)*time.Millisecond)
			s.mu.Unlock()
		}
	}, func() {})
	for m := range s.metrics {
		for _, a := range []metric.Aggregation{metric.Count, metric.Sum} {
			q := metric.Query{Metric: s.name(m), Aggregation: a, WindowSeconds: s.window()}
			if err := sub.Add(ctx, q.Key()); err != nil {
				return err
			}
		}
	}
	return nil
}

// dashboard makes one with a count and a sum of each metric and returns where their values are.
func (s *sender) dashboard(ctx context.Context) ([][2]string, error) {
	var widgets []map[string]any
	for m := range s.metrics {
		for _, a := range []string{"count", "sum"} {
			widgets = append(widgets, map[string]any{"metric_name": s.name(m), "aggregation": a, "window_seconds": s.window()})
		}
	}
	body, err := json.Marshal(map[string]any{"title": "Load", "widgets": widgets})
	if err != nil {
		return nil, err
	}
	var made struct {
		ID      string `json:"dashboard_id"`
		Widgets []struct {
			ID string `json:"widget_id"`
		} `json:"widgets"`
	}
	if err := s.request(ctx, http.MethodPost, "/dashboards", body, &made); err != nil {
		return nil, err
	}
	paths := make([][2]string, s.metrics)
	for i, w := range made.Widgets {
		paths[i/2][i%2] = "/dashboards/" + made.ID + "/widgets/" + w.ID + "/snapshot"
	}
	return paths, nil
}

// name is new in each run of this program, so that runs do not count each other's events.
func (s *sender) name(metric int) string { return fmt.Sprintf("load.p%d.m%02d", os.Getpid(), metric) }

func (s *sender) request(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

// send is an open loop: each request has its moment, whether or not the ones before were answered.
func (s *sender) send(ctx context.Context) (sent, late int, err error) {
	requests := int(s.length.Seconds() * float64(s.rate) / float64(s.batch))
	every := time.Duration(float64(time.Second) * float64(s.batch) / float64(s.rate))
	begin := time.Now()
	moments := make(chan time.Time, requests)
	for i := range requests {
		moments <- begin.Add(time.Duration(i) * every)
	}
	close(moments)
	var wg sync.WaitGroup
	errs := make([]error, s.senders)
	lates := make([]int, s.senders)
	for n := range s.senders {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 7)) //nolint:gosec // Load, no secret.
			for at := range moments {
				t := time.NewTimer(time.Until(at))
				select {
				case <-t.C:
				case <-ctx.Done():
					errs[n] = ctx.Err()
					return
				}
				if time.Since(at) > time.Second {
					lates[n]++
				}
				if errs[n] = s.post(ctx, r, at); errs[n] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, n := range lates {
		late += n
	}
	return requests * s.batch, late, errors.Join(errs...)
}

func (s *sender) post(ctx context.Context, r *rand.Rand, at time.Time) error {
	body := make([]byte, 0, s.batch*110)
	body = append(body, '[')
	counts, sums := make([]int64, s.metrics), make([]int64, s.metrics)
	now := time.Now().UnixMilli()
	for i := range s.batch {
		m, v := r.IntN(s.metrics), r.Int64N(1000)
		counts[m]++
		sums[m] += v
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(append(body, `{"metric_name":"`...), s.name(m)...), `","value":`...)
		body = append(strconv.AppendInt(body, v, 10), `,"tags":{"region":"eu","host":"h`...)
		body = append(strconv.AppendInt(body, r.Int64N(int64(s.tag)), 10), `"},"event_time":`...)
		body = append(strconv.AppendInt(body, now-r.Int64N(100), 10), '}')
	}
	var answer struct{ Accepted int }
	if err := s.request(ctx, http.MethodPost, "/ingest", append(body, ']'), &answer); err != nil {
		return err
	}
	if answer.Accepted != s.batch {
		return fmt.Errorf("%d of %d events were accepted", answer.Accepted, s.batch)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range counts {
		s.counts[m] += counts[m]
		s.sums[m] += sums[m]
	}
	s.latencies = append(s.latencies, time.Since(at))
	return nil
}

// check waits until the dashboard shows what was sent.
func (s *sender) check(ctx context.Context, paths [][2]string) error {
	limit := time.Now().Add(30 * time.Second)
	for m := range paths {
		for i, want := range []int64{s.counts[m], s.sums[m]} {
			for {
				var got struct {
					Series []struct {
						Value *float64 `json:"value"`
					} `json:"series"`
				}
				err := s.request(ctx, http.MethodGet, paths[m][i], nil, &got)
				if err == nil && len(got.Series) == 1 && got.Series[0].Value != nil && *got.Series[0].Value == float64(want) {
					break
				}
				if time.Now().After(limit) {
					return errors.Join(fmt.Errorf("%s shows %+v, sent %d", s.name(m), got, want), err)
				}
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	}
	return nil
}

type usage struct {
	cpu float64 // Seconds.
	rss int64   // Bytes.
}

// processes tells what pid, its children and this process have used.
func processes(pid int) map[string]usage {
	out := make(map[string]usage)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		own, _ := strconv.Atoi(strings.Split(path, "/")[2])
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		if pid == 0 || own != pid && parent != pid && own != os.Getpid() {
			continue
		}
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		pages, _ := strconv.ParseInt(fields[21], 10, 64)
		out[processName(own, pid)] = usage{(user + system) / 100, pages * int64(os.Getpagesize())}
	}
	return out
}

func processName(pid, main int) string {
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.Split(string(cmdline), "\x00")
	switch {
	case pid == main:
		return "ingest, Kafka, gateway, config"
	case pid == os.Getpid():
		return "this sender"
	case len(args) > 1 && args[1] == "pipeline":
		return "pipeline"
	}
	return filepath.Base(strings.Fields(args[0])[0])
}
