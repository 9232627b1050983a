// Command flink measures the pipeline on Flink with real servers, which it
// starts and ends: Kafka, redis-server, and either Flink in one Java process or
// a cluster of a JobManager, TaskManagers and Beam's job server.
//
//	make build .real/kafka/lib/.complete && make flink DATA=.real
//	go run ./bench/flink --rate 20000 --for 20m --every 1m
//	go run ./bench/flink --taskmanagers 2 --parallelism 2 --for 2m
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

const about = `
flink measures the pipeline on Flink and prints what it found as Markdown: from
the end of each window to its message from Redis, the CPU time and the memory of
each process, checkpoints, and how evenly the work spreads. The load is an open
loop; every value of every message is compared with what was sent.

  flink --rate 20000 --for 20m --every 1m
  flink --taskmanagers 2 --parallelism 2 --for 2m`

func main() { os.Exit(service.Main("flink", run)) } //nolint:forbidigo // It is main.

type options struct {
	jars, pipeline, deploy, dir string

	taskManagers, parallelism int
	heap, more                string

	rate, batch, metrics, series, queries int
	slice, past                           time.Duration
	fresh, live, faults                   bool
	warmUp, length, every                 time.Duration
}

func (o *options) sliceMs() int64 { return o.slice.Milliseconds() }

func (o *options) parse(env service.Env) error {
	f := conf.New("flink", about)
	f.StringVar(&o.jars, "jars", ".real", "`folder` of kafka/lib and flink/lib")
	f.StringVar(&o.pipeline, "pipeline", "bin/pipeline", "`path` of the program")
	f.StringVar(&o.deploy, "deploy", "deploy/flink", "`folder` of flink.sh and flink-conf.yaml, for a cluster")
	f.StringVar(&o.dir, "dir", "", "`folder` for the servers' files and logs, new or empty; empty = a temporary one, deleted at the end")
	f.IntVar(&o.taskManagers, "taskmanagers", 0, "`number` of TaskManagers of a cluster; 0 = Flink in one Java process")
	f.IntVar(&o.parallelism, "parallelism", 1, "`number` of subtasks")
	f.StringVar(&o.heap, "flink-heap", "512m", "`bytes` of Java's heap when it is one process; that of a cluster is in flink-conf.yaml")
	f.StringVar(&o.more, "pipeline-flags", "", "further `flags` of the pipeline, separated by spaces")
	f.IntVar(&o.rate, "rate", 20_000, "`events` a second")
	f.IntVar(&o.batch, "batch", 100, "`events` in a record")
	f.IntVar(&o.metrics, "metrics", 100, "`number` of metrics")
	f.IntVar(&o.series, "series", 50, "`number` of series of each")
	f.IntVar(&o.queries, "queries", 200, "`number` of queries: counts and sums over 5 s to 10 min, every slice")
	f.DurationVar(&o.slice, "slice", time.Second, "`length` of a slice, and the interval at which each query is computed")
	f.DurationVar(&o.past, "past", 0, "`duration` of load of the past before anything, as fast as it goes")
	f.BoolVar(&o.fresh, "fresh-values", false, "values do not repeat: whole numbers of nine digits")
	f.BoolVar(&o.live, "live", false, "with each line, count what lives in Java's heap after a full collection, which stops it for a moment; needs jcmd")
	f.BoolVar(&o.faults, "faults", false, "after measuring kill the worker, then Java, each with SIGKILL, and tell how long results stay away")
	f.DurationVar(&o.warmUp, "warmup", time.Minute, "`duration` of the load before anything is measured, once every query is current")
	f.DurationVar(&o.length, "for", time.Minute, "`duration` of measuring")
	f.DurationVar(&o.every, "every", 30*time.Second, "`interval` of the lines about delay and memory")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	if o.rate < 1 || o.batch < 1 || o.batch > 1000 || o.metrics < 1 || o.series < 1 {
		return errors.New("--rate, --batch (at most 1000), --metrics and --series must be positive")
	}
	if most := 2 * o.metrics * len(o.windows()); o.queries < 1 || o.queries > most {
		return fmt.Errorf("--queries is %d: it must be 1 to %d with that many metrics", o.queries, most)
	}
	if o.faults && o.taskManagers > 0 {
		return errors.New("--faults is for Flink in one Java process: e2e/faults has those of a cluster")
	}
	if o.length < time.Second || o.every < time.Second {
		return errors.New("--for and --every must be 1s or more")
	}
	return nil
}

func run(ctx context.Context, env service.Env) (err error) {
	var o options
	if err := o.parse(env); err != nil {
		return err
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "pulseboard-flink-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir) //nolint:errcheck // Temporary.
	}
	for _, path := range []*string{&o.dir, &o.jars, &o.pipeline, &o.deploy} { // The servers have other working directories.
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.dir, 0o750); err != nil {
		return err
	}
	s := &servers{dir: o.dir}
	defer s.close()
	r, err := prepare(ctx, o, s)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.measure(ctx, env.Stderr); err != nil {
		return err
	}
	r.report(env.Stdout)
	return nil
}
