// Command ingest measures an ingest node alone: how many events it takes for a
// second of its CPU time (user + system), with requests of 1, 100 and 1,000 events.
// The node, the embedded broker that it writes to and the sender are processes
// of their own; the node's alone is measured. What is compared takes turns.
//
//	go run ./bench/ingest
//	go run ./bench/ingest --against OLD    # An ingest binary of another commit.
//	go run ./bench/ingest --format remote-write --vmagent VMAGENT
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pulseboard/internal/conf"
	"pulseboard/internal/embedded"
	"pulseboard/internal/service"
)

const about = `
ingest starts an embedded broker and ingest nodes, sends them events one node
after the other, and prints how many a node took for a second of its CPU time.
--against adds nodes of other commits, --vmagent one that takes the same bodies.`

func main() { os.Exit(service.Main("ingest", run)) } //nolint:forbidigo // It is main.

type bench struct {
	batches conf.List
	against conf.List
	senders int
	rounds  int
	length  time.Duration
	format  string
	profile string
	vmagent string
	out     io.Writer
	dir     string
	self    string
}

func run(ctx context.Context, env service.Env) error {
	if len(env.Args) > 0 {
		switch env.Args[0] {
		case "broker":
			return runBroker(ctx, env)
		case "node":
			return node(ctx, env)
		}
	}
	b := bench{batches: conf.List{"1", "100", "1000"}, out: env.Stdout}
	f := conf.New("ingest", about)
	f.Var(&b.batches, "batches", "`numbers` of events in a request, separated by commas")
	f.Var(&b.against, "against", "`paths` of other ingest binaries, separated by commas")
	f.IntVar(&b.senders, "senders", 32, "`number` of requests at a time; 8 at most when they hold 1,000 events")
	f.IntVar(&b.rounds, "rounds", 3, "`number` of turns of each node")
	f.DurationVar(&b.length, "for", 4*time.Second, "`duration` of a turn")
	f.StringVar(&b.format, "format", "json", "`form` of the requests: json, ndjson, influx, remote-write, remote-write2, otlp, statsd-udp or statsd-tcp (lines in a datagram or a write)")
	f.StringVar(&b.vmagent, "vmagent", "", "`path` of a vmagent, which takes turns (bench/README.md)")
	f.StringVar(&b.profile, "profile", "", "`folder` for CPU profiles of the node of this commit; \"\" = none")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	if _, err := body(b.format, 1, 0, time.Now()); err != nil {
		return err
	}
	if b.vmagent != "" && forms()[b.format].peer == "" {
		return fmt.Errorf("--vmagent: it does not take %s", b.format)
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "bench-ingest-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir) //nolint:errcheck // A temporary folder.
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	return b.measure(ctx)
}

// runBroker is the embedded Kafka, until it is killed.
func runBroker(ctx context.Context, env service.Env) error {
	k, err := embedded.StartKafka(ctx, embedded.KafkaConfig{Dir: env.Args[1], Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer k.Close()
	_, _ = fmt.Fprintln(env.Stdout, "addr="+k.Addr())
	<-ctx.Done()
	return nil
}

// variant is one of the nodes that are compared.
type variant struct {
	name string
	path string
	args []string
	peer bool // It is a vmagent.
}

func (b *bench) variants(ctx context.Context) ([]variant, error) {
	current := filepath.Join(b.dir, "ingest")
	build := exec.CommandContext(ctx, "go", "build", "-o", current, "pulseboard/cmd/ingest")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the ingest command: %w: %s", err, text)
	}
	all := []variant{{name: "this commit", path: current}}
	if b.profile != "" {
		all = []variant{{name: "this commit", path: b.self, args: []string{"node", b.profile}}}
	}
	for _, path := range b.against {
		all = append(all, variant{name: filepath.Base(path), path: path})
	}
	if b.vmagent != "" {
		all = append(all, variant{name: "vmagent", path: b.vmagent, peer: true})
	}
	return all, nil
}

func (b *bench) measure(ctx context.Context) error {
	variants, err := b.variants(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(b.out, "%s, %s, %d cores; %s requests, %d turns of %v each, in turn\n\n", time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), b.format, b.rounds, b.length)
	_, _ = fmt.Fprintf(b.out, "%-6s %-16s %14s %8s %8s %12s %10s %12s\n", "batch", "node", "events/CPU s", "ratio", "sys %", "events/s", "p50 ms", "spread %")
	for _, size := range b.batches {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 || n > 50_000 {
			return fmt.Errorf("--batches has %q: it must hold numbers of 1 to 50000", size)
		}
		if err := b.compare(ctx, variants, n); err != nil {
			return err
		}
	}
	return nil
}

// compare gives each node its turns with requests of one size. The first turn of each is not counted.
func (b *bench) compare(ctx context.Context, variants []variant, size int) error {
	turns := make([][]turn, len(variants))
	for round := range b.rounds + 1 {
		for i, v := range variants {
			t, err := b.turn(ctx, v, size)
			if err != nil {
				return fmt.Errorf("%s, requests of %d: %w", v.name, size, err)
			}
			if round > 0 {
				turns[i] = append(turns[i], t)
			}
		}
	}
	base := median(turns[0], turn.perCPU)
	for i, v := range variants {
		all := turns[i]
		per := median(all, turn.perCPU)
		low, high := all[0].perCPU(), all[0].perCPU()
		for _, t := range all {
			low, high = min(low, t.perCPU()), max(high, t.perCPU())
		}
		_, _ = fmt.Fprintf(b.out, "%-6d %-16s %14.0f %8.2f %8.0f %12.0f %10.2f %12.0f\n", size, v.name, per, per/base,
			100*median(all, func(t turn) float64 { return t.system / (t.user + t.system) }),
			median(all, func(t turn) float64 { return float64(t.events) / t.took.Seconds() }),
			median(all, func(t turn) float64 { return t.p50.Seconds() * 1000 }), 100*(high-low)/per)
	}
	return nil
}

func median(all []turn, of func(turn) float64) float64 {
	values := make([]float64, 0, len(all))
	for _, t := range all {
		values = append(values, of(t))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// turn is what one node did in one turn.
type turn struct {
	events       int64
	took, p50    time.Duration
	user, system float64 // Seconds.
}

func (t turn) perCPU() float64 { return float64(t.events) / (t.user + t.system) }

func (b *bench) turn(ctx context.Context, v variant, size int) (turn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	senders := b.senders
	if size >= 1000 {
		senders = min(senders, 8)
	}
	if v.peer {
		n, end, err := b.startVmagent(ctx, v.path)
		if err != nil {
			return turn{}, err
		}
		defer end()
		return b.send(ctx, v, n, size, senders)
	}
	folder, err := os.MkdirTemp(b.dir, "kafka-")
	if err != nil {
		return turn{}, err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // It goes with the folder above it.
	kafka, err := start(ctx, b.self, []string{"broker", folder}, "addr=")
	if err != nil {
		return turn{}, err
	}
	defer kafka.end()
	args := slices.Concat(v.args, []string{"--addr", "127.0.0.1:0", "--kafka", kafka.addr})
	if statsdNetwork(b.format) != "" {
		args = append(args, "--statsd", "127.0.0.1:0")
	}
	n, err := start(ctx, v.path, args, listening)
	if err != nil {
		return turn{}, err
	}
	defer n.end()
	if statsdNetwork(b.format) != "" {
		return b.sendStatsD(ctx, n, size)
	}
	return b.send(ctx, v, n, size, senders)
}

// child is a process that has said where it listens.
type child struct {
	cmd  *exec.Cmd
	addr string
	ends chan struct{}

	mu   sync.Mutex
	text strings.Builder // What it has said.
}

// after is the word that follows a text in what the child has said, "" = it has not said it whole.
func (c *child) after(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, after, ok := strings.Cut(c.text.String(), text)
	if end := strings.IndexAny(after, " \n"); ok && end >= 0 {
		return after[:end]
	}
	return ""
}

// listening is what a node says before its address over HTTP.
const listening = "msg=listening service=ingest addr="

func start(ctx context.Context, path string, args []string, word string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, path, args...), ends: make(chan struct{})}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c.cmd.Stdout, c.cmd.Stderr = w, w
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(os.Interrupt) } // Profiles are written at the end.
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, w.Close(), r.Close())
	}
	_ = w.Close() // The child's copy is what counts.
	said := make(chan string, 1)
	go func() {
		defer close(c.ends)
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			c.mu.Lock()
			c.text.Write(buf[:n])
			c.mu.Unlock()
			if addr := c.after(word); addr != "" {
				select {
				case said <- addr:
				default:
				}
			}
			if err != nil {
				break
			}
		}
		_ = r.Close()
		_ = c.cmd.Wait()
		select {
		case said <- "": // It ended before it said so.
		default:
		}
	}()
	select {
	case c.addr = <-said:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.addr == "" {
		return nil, fmt.Errorf("%s %s ended before it listened", filepath.Base(path), strings.Join(args, " "))
	}
	return c, nil
}

func (c *child) end() {
	_ = c.cmd.Process.Signal(os.Interrupt)
	<-c.ends
}
