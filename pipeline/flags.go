package pipeline

import (
	"log/slog"

	"pulseboard/internal/conf"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/memory"
	"pulseboard/internal/profile"
	"pulseboard/internal/redisconn"
)

// Flags adds the flags of every form of the job, on every runner.
func (j *Job) Flags(f *conf.Flags) {
	j.flags(f)
	j.Edge.Flags(f.FlagSet)
	profile.Flag(f.FlagSet, &j.Pprof)
	f.TextVar(&j.Level, "log-level", slog.LevelInfo, "`level` of the logs: DEBUG, INFO, WARN or ERROR")
}

// ReplicaFlag adds --ha-tag.
func ReplicaFlag(f *conf.Flags, tag *string) {
	f.StringVar(tag, "ha-tag", *tag, "`key` of the tag by which agents differ that scrape the same targets, such as replica:\nit leaves their series, of which the samples of one agent count; empty = there are none")
}

func (c *Config) flags(f *conf.Flags) {
	kafkaconn.Flags(f, &c.Kafka, "`addresses` of Kafka brokers, host:port, separated by commas", "127.0.0.1:9092")
	redisconn.Flags(f, &c.Redis, "127.0.0.1:6379", "Redis that has the queries and gets the results")
	f.StringVar(&c.Topic, "topic", c.Topic, "`topic` of the events")
	f.StringVar(&c.DeadLetters, "dead-letter-topic", c.DeadLetters, "`topic` for records that cannot be counted")
	f.DurationVar(&c.Slice, "slice", c.Slice, "`length` of the slices that windows are made of: a divisor of 1s, 50ms or more")
	f.DurationVar(&c.Bound, "bound", c.Bound, "`delay` of pipeline time behind the newest record of a partition;\nrecords that reach Kafka later than this after their timestamp count one refresh later")
	f.DurationVar(&c.Lateness, "lateness", c.Lateness, "`age` beyond which an event is too late and dropped, counted from its record's timestamp")
	f.DurationVar(&c.Skew, "skew", c.Skew, "`time` that an event may be ahead of its record's timestamp")
	f.DurationVar(&c.Dedupe, "dedupe", c.Dedupe, "`time` in which a record with the same header id is a duplicate and left out; 0 = never")
	ReplicaFlag(f, &c.ReplicaTag)
	f.DurationVar(&c.Align, "align", c.Align, "`time` that partitions may be read ahead of one another")
	f.DurationVar(&c.MaxWindow, "max-window", c.MaxWindow, "`length` of the longest window; slices are kept this long")
	f.IntVar(&c.KeyGroups, "key-groups", c.KeyGroups, "`number` of keys that metrics are hashed to; 0 = what suits the runner")
	f.IntVar(&c.SeriesPerMetric, "series-per-metric", c.SeriesPerMetric, "`number` of series of one metric; further ones are counted together, as __other__")
	f.Int64Var(&c.StateBytes, "state-bytes", c.StateBytes, "`bytes` of memory for all that is held of events: series, trees, ids, what is read ahead and under way;\nbeyond them new series are counted as __other__; 0 = on Prism some half of GOMEMLIMIT, else of what the memory group or machine has; on Flink 2 GiB")
	f.Float64Var(&c.BudgetShare, "budget-share", c.BudgetShare, "`part`, 0 to 1, of trees, histories and evaluations that one dashboard may have; a metric and a token twice as much.\nWhat is beyond is not computed; GET /limits of the config service names it")
}

// BoundMemory bounds the heap of this process, unless GOMEMLIMIT does, and what of
// it is state, unless a flag does.
func (c *Config) BoundMemory() error {
	if err := memory.CheckAddressSpace(); err != nil {
		return err
	}
	limit, from := memory.HeapLimit(), "GOMEMLIMIT"
	if limit == 0 {
		available := memory.Available()
		// The rest is for stacks, and for what the kernel keeps for the process.
		limit, from = memory.LimitHeap(available.Bytes*9/10), available.From
	}
	switch {
	case c.StateBytes > 0:
	case limit > 0:
		c.StateBytes = memory.State(limit)
	default:
		c.StateBytes = Default().StateBytes
	}
	memory.CollectLess()
	c.Log.Info("memory is bounded", "heap", memory.Text(limit), "by", from, "state", memory.Text(c.StateBytes))
	return nil
}
