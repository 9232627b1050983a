package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/bench/broker"
	"pulseboard/bench/fanout/proc"
	"pulseboard/internal/embedded"
	"pulseboard/internal/service"
	"pulseboard/wire"
)

// setup is the processes of a turn.
type setup struct {
	*bench

	kafka    string
	broker   *embedded.Child
	redis    *embedded.Redis
	pipeline *embedded.Child
	children []*embedded.Child
	closers  []func()
}

// serve is the embedded broker, in the memory of a process of its own, until it is killed. It has no
// gate, which would stamp records of the past with now.
func serve(ctx context.Context, env service.Env) error {
	partitions, err := strconv.Atoi(env.Args[0])
	if err != nil {
		return err
	}
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(int32(partitions), wire.Topic), kfake.SeedTopics(1, wire.DeadLetterTopic))
	if err != nil {
		return err
	}
	defer k.Close()
	_, _ = fmt.Fprintln(env.Stdout, k.ListenAddrs()[0])
	<-ctx.Done()
	return nil
}

// begin starts Redis and the broker.
func (b *bench) begin(ctx context.Context, c *content) (s *setup, err error) {
	s = &setup{bench: b}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.redis, err = embedded.StartRedis(ctx, embedded.RedisConfig{Dir: b.dir, MaxMemory: "8gb", Log: slog.New(slog.DiscardHandler)}); err != nil {
		return s, err
	}
	s.closers = append(s.closers, func() { _ = s.redis.Close() }) // It holds nothing of worth.
	if b.jars != "" {
		k := broker.Kafka{Jars: b.jars, Dir: b.dir, KeepAll: true, Partitions: c.partitionsOr(), Start: func(name, path string, args ...string) (*embedded.Child, error) {
			return s.start(name, nil, path, args...)
		}}
		s.kafka, s.broker, err = k.Run(ctx)
		return s, err
	}
	said := make(lines, 10)
	if s.broker, err = s.start("the broker", said, b.self, "broker", strconv.Itoa(c.partitionsOr())); err == nil {
		s.kafka, err = said.next(ctx, s.broker)
	}
	return s, err
}

func (s *setup) close() {
	for _, c := range s.children {
		c.Kill()
	}
	for _, c := range s.closers {
		c()
	}
}

// start starts a process that ends with the turn.
func (s *setup) start(name string, said lines, path string, args ...string) (*embedded.Child, error) {
	out := io.Discard
	if s.verbose {
		out = s.progress
	}
	if said != nil {
		out = io.MultiWriter(out, said)
	}
	c, err := embedded.StartChild(embedded.ChildConfig{Name: name, Path: path, Args: args, Output: out})
	if err == nil {
		s.children = append(s.children, c)
	}
	return c, err
}

// lines gets what a process says.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(bytes.TrimSpace(b))
	return len(b), nil
}

func (l lines) next(ctx context.Context, c *embedded.Child) (string, error) {
	select {
	case text := <-l:
		return text, nil
	case <-c.Done():
		return "", c.Err()
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// loader is the process that writes a content.
type loader struct {
	*embedded.Child

	said lines
}

// startLoad starts one that writes to Kafka.
func (s *setup) startLoad(c *content) (*loader, error) { return s.startLoadTo(s.kafka, c) }

func (s *setup) startLoadTo(to string, c *content) (*loader, error) {
	text, err := json.Marshal(order{to, *c})
	if err != nil {
		return nil, err
	}
	l := &loader{said: make(lines, 10)}
	l.Child, err = s.start("the load", l.said, s.self, "load", string(text))
	return l, err
}

// until waits until it says a word, and returns what stands behind it.
func (l *loader) until(ctx context.Context, word string) (rest string, err error) {
	for {
		text, err := l.said.next(ctx, l.Child)
		if err != nil {
			return "", err
		}
		if rest, ok := strings.CutPrefix(text, word); ok {
			return strings.TrimSpace(rest), nil
		}
	}
}

// late waits until it has written all, and returns how late a request began at most, in ms.
func (l *loader) late(ctx context.Context) (ms float64, err error) {
	text, err := l.until(ctx, allSent)
	if err == nil {
		ms, err = strconv.ParseFloat(text, 64)
	}
	return ms, err
}

func (s *setup) startPipeline(v variant, slice time.Duration) (err error) {
	s.pipeline, err = s.start("the pipeline", nil, v.path, "--kafka", s.kafka, "--redis", s.redis.Addr(), "--slice", slice.String(),
		"--log-level", "WARN", "--budget-share", "1", "--metrics-addr", "unix:"+filepath.Join(s.dir, "metrics"), "--pprof", filepath.Join(s.dir, "pprof"))
	return err
}

// over asks a server on a socket.
func over(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
}

func get(ctx context.Context, socket, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := over(socket).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, res.Status)
	}
	return body, err
}

// counters returns the sums of the pipeline's metrics by name.
func (s *setup) counters(ctx context.Context) (map[string]float64, error) {
	body, err := get(ctx, filepath.Join(s.dir, "metrics"), "/metrics")
	sums := make(map[string]float64)
	for line := range strings.Lines(string(body)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndexByte(text, ' '); i >= 0 { // Behind labels that hold spaces.
			text = text[i+1:]
		}
		if v, err := strconv.ParseFloat(text, 64); err == nil && !strings.HasPrefix(name, "#") {
			name, _, _ = strings.Cut(name, "{")
			sums[name] += v
		}
	}
	return sums, err
}

// counted is the metric by which progress is known.
const counted = "pulseboard_pipeline_events_total"

// mustBeZero are metrics that say that something is wrong, or that events do not count.
func mustBeZero() []string {
	return []string{
		"pulseboard_pipeline_late_partials_total", "pulseboard_pipeline_too_late_total", "pulseboard_pipeline_dead_letters_total",
		"pulseboard_pipeline_other_events_total", "pulseboard_source_duplicates_total", "pulseboard_source_lost_records_total", "pulseboard_source_ids_forgotten_total",
	}
}

// saveProfile takes a CPU profile of the pipeline, for as long as ctx lets it, in whole seconds.
func (s *setup) saveProfile(ctx context.Context, length time.Duration) error {
	path := filepath.Join(s.dir, "pprof", "pipeline-"+strconv.Itoa(s.pipeline.Pid()))
	body, err := get(ctx, path, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(length.Seconds())))
	if err != nil {
		return fmt.Errorf("cannot take a profile: %w", err)
	}
	return os.WriteFile(s.profile, body, 0o600)
}

func cpu(c *embedded.Child) float64 {
	u, _ := proc.Look(c.Pid()) // One that has ended is told elsewhere.
	return u.CPU
}

func megabytes(c *embedded.Child) float64 {
	u, _ := proc.Look(c.Pid())
	return float64(u.RSS) / 1e6
}

// peak is the most memory that a process had.
func peak(c *embedded.Child) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Pid()))
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	kb, _ := strconv.ParseFloat(strings.Fields(after + " 0")[0], 64)
	return kb * 1024 / 1e6
}
