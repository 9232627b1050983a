// Command engine measures what the pipeline costs: events for a second of its
// CPU time (user + system), live and catching up, its memory, and how late results
// are. Each row runs with the pipeline of --pipeline, and in turn with that of
// --against, on the same content; what it computed is compared with the log.
//
//	make build && go run ./bench/engine --pipeline bin/pipeline --against OLD/pipeline --rounds 2 live catchup
//
//	load (a process) ─▶ broker (a process) ─▶ pipeline ─▶ redis-server ─▶ this process, which compares
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

const about = `
engine measures the pipeline, and compares what it computes with the log. Rows:

  live      100,000 events/s in records of 5; slices of 1 s and of 250 ms
  delay     20,000 events/s in records of 5, from the end of a window to its result
  catchup   10 million events that were written before; records of 100, 5 and 1, slices of 1 s and of 250 ms
  grouped   as catchup, slices of 250 ms, each query grouped into 100
  away      30 minutes of 5,000 events/s of 1,000 series that came while the pipeline was away
  tags      10 million events with 1,000, 20,000 and 100,000 sets of tags in one partition
  million   one million events/s in records of 100, for a minute
  memory    10,000 series with an event a second for the 71 minutes that are held
  widget    a new widget of 10,000 groups over an hour, see bench/widget

Most have 10,000 series (100 metrics × 100), and 500 queries: sum, avg, max, min
and count of each metric over 60 s, every slice. A row may be named in part: catchup/250ms/b5.`

func main() { os.Exit(service.Main("engine", run)) } //nolint:forbidigo // It is main.

type options struct {
	pipeline, against string
	jars              string
	vmagent           string
	rounds            int
	warmUp, length    time.Duration
	events            int
	profile           string
	verbose           bool
}

type bench struct {
	options

	out, progress io.Writer
	self          string
	dir           string
}

func run(ctx context.Context, env service.Env) error {
	if len(env.Args) > 0 {
		roles := map[string]func(context.Context, service.Env) error{"load": load, "broker": serve, "stages": stages}
		if role := roles[env.Args[0]]; role != nil {
			env.Args = env.Args[1:]
			return role(ctx, env)
		}
	}
	b := bench{out: env.Stdout, progress: env.Stderr}
	f := conf.New("engine", about)
	f.StringVar(&b.pipeline, "pipeline", "bin/pipeline", "`path` of the program; for widget pulseboard is beside it")
	f.StringVar(&b.against, "against", "", "`path` of one of another commit, which takes turns with it")
	f.StringVar(&b.jars, "jars", "", "`folder` with kafka/lib, as make test-real fills it: a real Kafka in place of the embedded one; million needs it")
	f.StringVar(&b.vmagent, "vmagent", "", "`path` of a vmagent, which takes turns in live and, at full speed, in catchup (bench/README.md)")
	f.IntVar(&b.rounds, "rounds", 1, "`number` of turns of each")
	f.DurationVar(&b.warmUp, "warm-up", 15*time.Second, "`time` before measuring, live")
	f.DurationVar(&b.length, "for", 40*time.Second, "`time` of measuring, live; million has a minute")
	f.IntVar(&b.events, "events", 0, "most `events` that catchup, tags and away read, to try something; 0 = all")
	f.StringVar(&b.profile, "profile", "", "`folder` for a CPU profile of each turn; engine stages FILE… says what they spent where")
	f.BoolVar(&b.verbose, "v", false, "show the output of the processes")
	wanted, err := f.ParseArgs(env.Args, env.Getenv, env.Stdout)
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "engine-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir) //nolint:errcheck // A temporary folder.
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	return b.measure(ctx, wanted)
}

// row is one line of the table of figures.
type row struct {
	name    string
	content content // Its begin is that of the turn; of what was written before, its end is how long it is.
	slice   time.Duration
	measure measure
	peer    measure  // With vmagent; nil = it has no such row.
	groupBy []string // Of the queries.
}

// measure is what a turn does; the folder of the bench is its own.
type measure func(*bench, context.Context, *row, variant) (figures, error)

// variant is what takes a turn.
type variant struct {
	name, path string
	measure    measure
}

func rows() []row {
	usual := func(rate, batch int) content { return content{Metrics: 100, Series: 100, Batch: batch, Rate: rate} }
	past := func(c content, length time.Duration) content {
		c.End = length.Milliseconds()
		return c
	}
	all := []row{
		{"live/1s", usual(100_000, 5), time.Second, (*bench).live, (*bench).vmagentLive, nil},
		{"live/250ms", usual(100_000, 5), 250 * time.Millisecond, (*bench).live, nil, nil},
		{"delay", usual(20_000, 5), time.Second, (*bench).live, nil, nil},
	}
	for _, slice := range []time.Duration{time.Second, 250 * time.Millisecond} {
		for _, batch := range []int{100, 5, 1} {
			r := row{fmt.Sprintf("catchup/%v/b%d", slice, batch), past(usual(100_000, batch), 100*time.Second), slice, (*bench).catchUp, nil, nil}
			if slice == time.Second && batch == 100 {
				r.peer = (*bench).vmagentCatchUp
			}
			all = append(all, r)
		}
	}
	for _, series := range []int{100, 2_000, 10_000} {
		c := content{Metrics: 10, Series: series, Batch: 100, Rate: 1_000_000, OwnTags: true, Partitions: 1}
		all = append(all, row{fmt.Sprintf("tags/%d", 10*series), past(c, 10*time.Second), time.Second, (*bench).catchUp, nil, nil})
	}
	away := content{Metrics: 20, Series: 50, Batch: 50, Rate: 5000}
	return append(all,
		row{"grouped", past(usual(100_000, 100), 100*time.Second), 250 * time.Millisecond, (*bench).catchUp, nil, []string{"host"}},
		row{"away", past(away, 30*time.Minute), time.Second, (*bench).catchUp, nil, nil},
		row{"million", usual(1_000_000, 100), time.Second, (*bench).million, nil, nil},
		row{"memory", usual(10_000, 100), time.Second, (*bench).memory, nil, nil},
		row{"widget", usual(20_000, 5), time.Second, (*bench).widget, nil, nil})
}

// choose returns the rows that begin with one of the names; none = all but those that take minutes.
func choose(wanted []string) (out []row, err error) {
	long := []string{"grouped", "away", "million", "memory", "widget"}
	for _, r := range rows() {
		is := func(name string) bool { return r.name == name || strings.HasPrefix(r.name, name+"/") }
		if slices.ContainsFunc(wanted, is) || len(wanted) == 0 && !slices.Contains(long, r.name) {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no row is named %s (see --help)", strings.Join(wanted, ", "))
	}
	return out, nil
}

func (b *bench) measure(ctx context.Context, wanted []string) error {
	chosen, err := choose(wanted)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(b.out, "%s, %s, %d cores, %d rounds\n", time.Now().UTC().Format(time.DateTime), runtime.Version(), runtime.NumCPU(), b.rounds)
	var faults []error
	for _, r := range chosen {
		variants := b.variants(&r)
		turns := make([][]figures, len(variants))
		for range b.rounds {
			for i, v := range variants {
				f, err := b.turn(ctx, &r, v)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err != nil {
					faults = append(faults, fmt.Errorf("%s of %s: %w", r.name, v.path, err))
				}
				turns[i] = append(turns[i], f)
				_, _ = fmt.Fprintf(b.out, "%-18s %-8s %s load %s\n", r.name, v.name, f, loadAverage())
			}
		}
		for i := range variants[1:] {
			_, _ = fmt.Fprintf(b.out, "%-18s %s / %s: %s\n", r.name, variants[0].name, variants[i+1].name, ratios(turns[0], turns[i+1]))
		}
	}
	return errors.Join(faults...)
}

func (b *bench) variants(r *row) []variant {
	all := []variant{{"this", b.pipeline, r.measure}}
	if b.against != "" {
		all = append(all, variant{"against", b.against, r.measure})
	}
	if b.vmagent != "" && r.peer != nil {
		all = append(all, variant{"vmagent", b.vmagent, r.peer})
	}
	return all
}

func (b *bench) turn(ctx context.Context, r *row, v variant) (figures, error) {
	dir, err := os.MkdirTemp(b.dir, "turn-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // It goes with the folder above it.
	own := *b
	own.dir = dir
	if b.profile != "" {
		if err := os.MkdirAll(b.profile, 0o750); err != nil {
			return nil, err
		}
		own.profile = filepath.Join(b.profile, strings.ReplaceAll(r.name, "/", "-")+"-"+v.name+".pprof")
	}
	return v.measure(&own, ctx, r, v)
}

// figure is one that was measured. Of those that are not compared a ratio says nothing.
type figure struct {
	name     string
	value    float64
	compared bool
}

type figures []figure

func (all figures) String() string {
	var b strings.Builder
	for _, f := range all {
		digits := 2
		if f.value >= 100 || f.value == float64(int64(f.value)) {
			digits = 0
		}
		fmt.Fprintf(&b, "%s %.*f; ", f.name, digits, f.value)
	}
	return b.String()
}

// ratios divides the medians of the turns, of figures that both have.
func ratios(these, those []figures) string {
	var b strings.Builder
	for _, f := range these[0] {
		a, one := median(these, f.name)
		o, other := median(those, f.name)
		if f.compared && one && other {
			fmt.Fprintf(&b, "%s %.4g / %.4g = %.2f; ", f.name, a, o, a/o)
		}
	}
	return b.String()
}

func median(turns []figures, name string) (m float64, ok bool) {
	var values []float64
	for _, t := range turns {
		for _, f := range t {
			if f.name == name {
				values = append(values, f.value)
			}
		}
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0, false
	}
	return values[len(values)/2], true
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg") // Linux has it.
	return cmp.Or(strings.Join(strings.Fields(string(text))[:min(1, len(text))], " "), "unknown")
}
