// Command catchup measures how long the pipeline takes to be current again after
// it was away: it fills a Kafka with what came meanwhile, starts the
// pipeline, waits until every query is current, and compares its histories.
//
//	make build && go run ./bench/catchup --pipeline ./bin/pipeline --away 30m --rate 5000
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/internal/conf"
	"pulseboard/internal/embedded"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

const about = `
catchup measures how long the pipeline takes to be current again after it was away.`

func main() { os.Exit(service.Main("catchup", run)) } //nolint:forbidigo // It is main.

type bench struct {
	pipeline      string
	away          time.Duration
	rate, metrics int
	series        int
	refresh       time.Duration
	out           io.Writer

	kafka   string
	redis   string
	results *results.Store
	queries []metric.Query
	begin   int64 // Of the events, epoch ms.
	end     int64
}

func run(ctx context.Context, env service.Env) error {
	b := &bench{out: env.Stdout}
	f := conf.New("catchup", about)
	f.StringVar(&b.pipeline, "pipeline", "bin/pipeline", "`path` of the program")
	f.DurationVar(&b.away, "away", 30*time.Minute, "`time` for which it was away")
	f.IntVar(&b.rate, "rate", 5000, "`events` a second meanwhile")
	f.IntVar(&b.metrics, "metrics", 20, "`number` of metrics")
	f.IntVar(&b.series, "series", 50, "`number` of series of each")
	f.DurationVar(&b.refresh, "refresh", 5*time.Second, "`interval` of half of the queries; the others have one second")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pulseboard-catchup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // Temporary.
	// The broker of the embedded Kafka, without its gate: that would stamp records with now.
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(filepath.Join(dir, "kafka")), kfake.SeedTopics(16, "metric-events"), kfake.SeedTopics(1, "metric-dead-letters"))
	if err != nil {
		return err
	}
	defer k.Close()
	r, err := embedded.StartRedis(ctx, embedded.RedisConfig{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // It holds nothing of worth.
	b.kafka, b.redis = k.ListenAddrs()[0], r.Addr()
	if b.results, err = results.Open(ctx, redisconn.At(b.redis)); err != nil {
		return err
	}
	defer b.results.Close() //nolint:errcheck // Nothing is buffered in it.
	if err := b.ask(ctx); err != nil {
		return err
	}
	if err := b.fill(ctx); err != nil {
		return err
	}
	return b.measure(ctx, env.Stderr)
}

// ask publishes the queries, and for each a result of the time when the pipeline ended.
func (b *bench) ask(ctx context.Context) error {
	b.end = time.Now().UnixMilli()/5000*5000 - 5000
	b.begin = b.end - b.away.Milliseconds()
	store, err := registry.Open(ctx, redisconn.At(b.redis))
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // It was written to, and answered.
	entries := map[string]wire.QueryEntry{}
	var before []results.Publication
	for m := range b.metrics {
		for _, window := range []int{10, 60, 300, 600, 60} {
			q := metric.Query{Metric: fmt.Sprint("catchup.m", m), Aggregation: metric.Count, WindowSeconds: window}
			refresh := int64(1000)
			if window >= 300 {
				refresh = b.refresh.Milliseconds()
			}
			if _, there := entries[q.Key()]; there {
				q.GroupBy = []string{"host"}
			}
			entries[q.Key()] = wire.QueryEntry{Query: q, RefreshMs: []int64{refresh}}
			b.queries = append(b.queries, q)
			before = append(before, results.Publication{Result: &wire.Result{
				Key: q.Key(), WindowStart: b.begin - int64(window)*1000, WindowEnd: b.begin, Due: []int64{refresh}, Complete: true,
			}})
		}
	}
	if _, err := b.results.Publish(ctx, before); err != nil {
		return err
	}
	return store.Publish(ctx, entries)
}

// fill writes what came while the pipeline was away: each second as many events
// of each metric, in records of 100, spread over the second.
func (b *bench) fill(ctx context.Context) error {
	began := time.Now()
	c := &kafka.Client{Addr: kafka.TCP(b.kafka), Timeout: 30 * time.Second}
	meta, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{"metric-events"}})
	if err != nil {
		return err
	}
	ids := make([]int, len(meta.Topics[0].Partitions))
	for i := range ids {
		ids[i] = i
	}
	balancer := kafka.Murmur2Balancer{Consistent: true}
	each := b.rate / b.metrics
	total := 0
	for at := b.begin; at < b.end; at += 1000 {
		for m := range b.metrics {
			name := fmt.Sprint("catchup.m", m)
			var records []kafka.Record
			for first := 0; first < each; first += 50 {
				var events []metric.Event
				t := at + int64(first)*1000/int64(each)
				for i := first; i < min(first+50, each); i++ {
					events = append(events, metric.Event{Value: float64(i), Time: t, Tags: metric.NewTags(map[string]string{"host": fmt.Sprint("h", i%b.series), "region": "eu"})})
				}
				total += len(events)
				records = append(records, kafka.Record{
					Time: time.UnixMilli(t), Key: kafka.NewBytes([]byte(name)), Value: kafka.NewBytes(wire.AppendRecord(nil, name, events)),
					Headers: []kafka.Header{{Key: "id", Value: fmt.Appendf(nil, "%d-%d-%d", at, m, first)}},
				})
			}
			res, err := c.Produce(ctx, &kafka.ProduceRequest{Topic: "metric-events", Partition: balancer.Balance(kafka.Message{Key: []byte(name)}, ids...), RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
			if err == nil {
				err = res.Error
			}
			if err != nil {
				return fmt.Errorf("cannot write to Kafka: %w", err)
			}
		}
	}
	_, _ = fmt.Fprintf(b.out, "%d events of %v in %v\n", total, b.away, time.Since(began).Round(time.Millisecond))
	return nil
}

func (b *bench) measure(ctx context.Context, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, b.pipeline, "--kafka", b.kafka, "--redis", b.redis, "--log-level", "WARN")
	cmd.Stderr = stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Kill()
		<-ended //nolint:errcheck // It was killed.
		_, _ = fmt.Fprintf(b.out, "the pipeline used %.1f CPU s\n", (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	}()
	var streams []results.Stream
	for _, q := range b.queries {
		streams = append(streams, results.Stream{Key: q.Key(), RefreshMs: b.refreshOf(q)})
	}
	for {
		tips, err := b.results.Newest(ctx, streams)
		if err != nil {
			return err
		}
		behind := 0
		now := time.Now().UnixMilli()
		for i, tip := range tips {
			if now-tip.WindowEnd > streams[i].RefreshMs+1500 {
				behind++
			}
		}
		if behind == 0 {
			break
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("the pipeline ended: %w", err)
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, _ = fmt.Fprintf(b.out, "all %d queries are current %.1f s after the start of the process\n", len(b.queries), time.Since(began).Seconds())
	return b.compare(ctx)
}

func (b *bench) refreshOf(q metric.Query) int64 {
	if q.WindowSeconds >= 300 {
		return b.refresh.Milliseconds()
	}
	return 1000
}

// compare checks the histories of the time away: every count is known.
func (b *bench) compare(ctx context.Context) error {
	checked := 0
	each := b.rate / b.metrics
	for _, q := range b.queries {
		h, err := b.results.History(ctx, q.Key(), b.refreshOf(q), b.begin, 700)
		if err != nil {
			return err
		}
		before := int64(0)
		for _, r := range h {
			seconds := int64(0)
			for at := max(r.WindowStart, b.begin); at < min(r.WindowEnd, b.end); at += 1000 {
				seconds++
			}
			var got int64
			for _, s := range r.Series {
				got += s.Count
			}
			if want := seconds * int64(each); got != want || before != 0 && r.WindowEnd != before+b.refreshOf(q) {
				return fmt.Errorf("%s: the window that ends at %d (the one before: %d) holds %d events, want %d", q.Key(), r.WindowEnd, before, got, want)
			}
			before = r.WindowEnd
			checked++
		}
	}
	_, _ = fmt.Fprintf(b.out, "%d windows of the histories are right, without a gap\n", checked)
	return nil
}
