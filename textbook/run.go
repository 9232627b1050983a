package textbook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/job"
	"pulseboard/metric"
	"pulseboard/pipeline"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/sources"
)

// Config is the textbook form of the job: Kafka → SlidingWindows +
// CombinePerKey → Redis or JSON lines. See docs/reference.md.
type Config struct {
	pipeline.Config
	Queries []metric.Query   // None: those that the registry in Redis has now.
	Period  time.Duration    // A window ends at each multiple of it since the epoch.
	Execute pipeline.Execute // Of a runner.
	From    time.Time        // Results of windows that end after this; zero = from the first record on.
	To      time.Time        // And not after this; zero = to the end of the topic, or without From and ToEnd for ever.
	JSON    io.Writer        // Where results are written, one a line; nil = to Redis, under Prefix.
}

// Prefix is that of its metric keys in Redis.
const Prefix = "ref:"

func (c *Config) bounded() bool {
	return c.ToEnd || !c.From.IsZero() || !c.To.IsZero()
}

// Validate reports everything that is wrong, before anything is connected to.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	if c.Period < time.Millisecond {
		errs = append(errs, fmt.Errorf("--refresh is %v: it must be 1ms or more", c.Period))
	}
	if !c.From.IsZero() && !c.To.IsZero() && !c.From.Before(c.To) {
		errs = append(errs, fmt.Errorf("--from %v is not before --to %v", c.From, c.To))
	}
	for _, q := range c.Queries {
		if err := q.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("query %s: %w", q.Key(), err))
		}
	}
	return errors.Join(errs...)
}

// Run runs the textbook form until its bounds are reached, else until ctx ends.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if _, err := sources.Partitions(ctx, c.Kafka, c.Topic); err != nil {
		return err
	}
	keys, err := c.keys(ctx)
	if err != nil {
		return err
	}
	var store *results.Store
	if c.JSON == nil {
		if store, err = results.Open(ctx, c.Redis); err != nil {
			return err
		}
		defer store.Close() //nolint:errcheck // Nothing is buffered in it.
	}
	run := pipeline.NewRun()
	out := NewOrdered(store, c.JSON, c.bounded())
	j := job.Open(run, sources.NewReaders(c.Kafka, job.NewProgress(), nil), out)
	defer j.Close() //nolint:errcheck // What it writes is written below.
	p, err := c.build(ctx, run, keys)
	if err != nil {
		return err
	}
	if err := pipeline.Await(ctx, p, c.Execute); err != nil {
		return err
	}
	return out.Write(ctx)
}

func (c *Config) keys(ctx context.Context) ([]string, error) {
	var keys []string
	for _, q := range c.Queries {
		keys = append(keys, q.Key())
	}
	if len(keys) > 0 {
		return keys, nil
	}
	store, err := registry.Open(ctx, c.Redis, registry.WithLog(c.Log))
	if err != nil {
		return nil, err
	}
	defer store.Close() //nolint:errcheck // It only reads.
	set, err := store.Load(ctx)
	if err != nil {
		return nil, err
	}
	if keys = slices.Sorted(maps.Keys(set.Entries)); len(keys) == 0 {
		return nil, errors.New("there is no query: the registry is empty; name one with --query, such as --query 'api.latency:avg:60s by (host)'")
	}
	return keys, nil
}

// longest is how far before its end a window may hang on events.
func longest(keys []string) time.Duration {
	var d time.Duration
	for _, key := range keys {
		if q, err := metric.ParseKey(key); err == nil {
			d = max(d, q.JoinReach())
		}
	}
	return d
}

func (c *Config) build(ctx context.Context, run string, keys []string) (*beam.Pipeline, error) {
	pipeline.InitBeam()
	p, s := beam.NewPipelineWithRoot()
	o := Options{
		Keys: keys, PeriodMs: c.Period.Milliseconds(), Limits: metric.Limits{Late: c.Lateness, Ahead: c.Skew}, Prefix: Prefix,
	}
	if c.JSON != nil {
		o.Prefix = ""
	}
	source := sources.Options{
		Run: run, Topic: c.Topic, Shards: 1,
		SliceMs: c.Slice.Milliseconds(), MaxFutureMs: c.Skew.Milliseconds(), LatenessMs: c.Lateness.Milliseconds(), MaxDriftMs: c.Align.Milliseconds(), MaxLeadMs: 1 << 50,
		DedupeMs: c.Dedupe.Milliseconds(), ReplicaTag: c.ReplicaTag,
		// The watermark stays behind by the lateness: nothing that counts is late for
		// Beam, and each window is published once, whole.
		OutOfOrderMs: (c.Bound + c.Lateness).Milliseconds(),
	}
	// PCollection<*sources.Batch>
	var batches beam.PCollection
	if c.bounded() {
		if !c.From.IsZero() {
			o.FromMs = c.From.UnixMilli()
			source.StartMs = c.From.Add(-longest(keys) - c.Skew).UnixMilli()
		}
		if !c.To.IsZero() {
			o.ToMs = c.To.UnixMilli()
		}
		extents, since, err := sources.Extents(ctx, source)
		if err != nil {
			return nil, err
		}
		o.SinceMs = since
		batches = sources.ReadBounded(s, source, extents)
	} else {
		source.StartMs = time.Now().Add(-longest(keys) - c.Lateness).UnixMilli()
		o.SinceMs = source.StartMs + source.MaxFutureMs
		batches = sources.Read(s, source)
	}
	evaluations, err := Compute(s, o, batches)
	if err != nil {
		return nil, err
	}
	WriteOrdered(s, run, evaluations)
	return p, nil
}
