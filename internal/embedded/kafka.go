package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/wire"
)

// KafkaConfig is where the broker listens and what it keeps. Zero values
// mean the defaults, except Dir and Log.
type KafkaConfig struct {
	Dir         string // Folder of the records, made when absent. Only one process may use it.
	Addr        string // host:port to listen on; "" = a free port of 127.0.0.1.
	Topic       string // "" = metric-events.
	DeadLetters string // "" = metric-dead-letters.
	Partitions  int    // Of Topic when it is made; 0 = wire.Partitions.
	MaxBytes    int64  // Bound of Topic on disk; 0 = 1 GiB. Beyond it the largest partition loses its oldest records.
	// MaxAge is how long records are kept; 0 = 75 min: the longest window on
	// Prism is 1 h, and late events and a restart come on top.
	MaxAge time.Duration
	Log    *slog.Logger
}

const (
	defaultMaxAge      = 75 * time.Minute
	deadLetterBytes    = 16 << 20
	deadLetterAge      = 7 * 24 * time.Hour
	cleanEvery         = time.Second
	segmentsAPartition = 8 // Of its equal part of the bound: records go away in whole segments.
	minSegment         = 64 << 10
)

func (c *KafkaConfig) validate() error {
	c.Addr = cmp.Or(c.Addr, "127.0.0.1:0")
	c.Topic = cmp.Or(c.Topic, wire.Topic)
	c.DeadLetters = cmp.Or(c.DeadLetters, wire.DeadLetterTopic)
	c.Partitions = cmp.Or(c.Partitions, wire.Partitions)
	c.MaxBytes = cmp.Or(c.MaxBytes, 1<<30)
	c.MaxAge = cmp.Or(c.MaxAge, defaultMaxAge)
	switch {
	case c.Dir == "":
		return errors.New("no Dir is set")
	case c.Log == nil:
		return errors.New("no Log is set")
	case c.Partitions < 1 || c.MaxBytes < 1 || c.MaxAge < 1:
		return errors.New("the number of partitions and the bounds must be above 0")
	}
	return nil
}

// Kafka is a broker in this process. It listens on loopback, without access control.
type Kafka struct {
	cluster *kfake.Cluster
	addr    string
	client  *kgo.Client
	end     sync.Once
	stop    context.CancelFunc // Of the keeper.
	kept    chan struct{}
}

// wayOut is what an operator can do about a folder that cannot be opened.
const wayOut = "if the folder cannot be mended, move it away: an empty one is made, and the events of the last 75 minutes are gone"

// StartKafka opens the folder, starts to listen and makes the topics that are missing.
func StartKafka(ctx context.Context, c KafkaConfig) (*Kafka, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("cannot start the embedded Kafka: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the embedded Kafka: %w", err)
	}
	partitions := make(map[string]int)
	for _, t := range c.topics() {
		partitions[t.name] = t.partitions
	}
	id, err := clusterID(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot start the embedded Kafka: %w", err)
	}
	lost, err := repair(c.Dir, id, partitions, c.Log)
	if err != nil {
		return nil, fmt.Errorf("cannot start the embedded Kafka in %s: %w; %s", c.Dir, err, wayOut)
	}
	damagedBytes.Set(float64(lost.bytes))
	damagedRecords.Set(float64(lost.records))
	var lc net.ListenConfig
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID(id),
		kfake.DataDir(c.Dir),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			ln, err := lc.Listen(ctx, network, c.Addr)
			if err != nil {
				return nil, err
			}
			return newGate(ln, gateFor(c.Partitions+1), c.Log), nil
		}),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": ms(cleanEvery)}),
		kfake.WithLogger(brokerLog{c.Log}),
	)
	if err != nil {
		return nil, fmt.Errorf("cannot start the embedded Kafka in %s: %w; %s", c.Dir, err, wayOut)
	}
	// After a crash the broker has just read all records to index them; give that memory back.
	debug.FreeOSMemory()
	k := &Kafka{cluster: cluster, addr: cluster.ListenAddrs()[0], stop: func() {}, kept: make(chan struct{})}
	if k.client, err = kgo.NewClient(kgo.SeedBrokers(k.addr)); err == nil {
		err = k.makeTopics(ctx, c)
	}
	if err != nil {
		close(k.kept)
		k.Close()
		return nil, fmt.Errorf("cannot make the topics of the embedded Kafka: %w", err)
	}
	ctx, k.stop = context.WithCancel(context.WithoutCancel(ctx))
	keeper := keeper{client: k.client, dir: c.Dir, topic: c.Topic, bound: c.MaxBytes, segment: c.segment(), expiry: newExpiry(c.MaxAge, c.Log), log: c.Log}
	go func() {
		defer close(k.kept)
		keeper.run(ctx)
	}()
	return k, nil
}

// Addr returns host:port.
func (k *Kafka) Addr() string { return k.addr }

// Close writes everything to disk and ends the broker. It may be called more than once.
func (k *Kafka) Close() {
	k.end.Do(func() {
		k.stop()
		<-k.kept
		if k.client != nil {
			k.client.Close()
		}
		k.cluster.Close()
	})
}

type topic struct {
	name       string
	partitions int
	configs    map[string]string
}

func (c *KafkaConfig) topics() []topic {
	return []topic{
		// No bounds of bytes and age for each partition: see keeper and expiry.
		{c.Topic, c.Partitions, bounds(c.segment(), -1, -time.Millisecond)},
		// One partition: the broker counts live records, but their file goes only when all in it are
		// dead, so one segment is set aside for that.
		{c.DeadLetters, 1, bounds(deadLetterBytes/segmentsAPartition, deadLetterBytes-deadLetterBytes/segmentsAPartition, deadLetterAge)},
	}
}

// segment is the size of a file of Topic.
func (c *KafkaConfig) segment() int64 {
	return max(c.MaxBytes/int64(c.Partitions)/segmentsAPartition, minSegment)
}

func bounds(segment, bytes int64, age time.Duration) map[string]string {
	return map[string]string{
		"cleanup.policy": "delete",
		// See stamp.
		"message.timestamp.type": "LogAppendTime",
		"segment.bytes":          strconv.FormatInt(segment, 10),
		"retention.bytes":        strconv.FormatInt(bytes, 10),
		"retention.ms":           ms(age),
	}
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func (k *Kafka) makeTopics(ctx context.Context, c KafkaConfig) error {
	for _, t := range c.topics() {
		err := k.cluster.CreateTopic(t.name, int32(t.partitions), t.configs)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	// Always, not only to apply bounds that have changed: a broker that found
	// its topics on disk removes nothing until a topic's configuration is written.
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, t := range c.topics() {
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, t.name
		for name, value := range t.configs {
			e := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			e.Name, e.Value = name, &value
			r.Configs = append(r.Configs, e)
		}
		req.Resources = append(req.Resources, r)
	}
	res, err := req.RequestWith(ctx, k.client)
	if err != nil {
		return err
	}
	for _, r := range res.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return fmt.Errorf("%s: %w", r.ResourceName, err)
		}
	}
	return nil
}

// brokerLog passes on the broker's warnings and errors; its other lines are about
// each request.
type brokerLog struct{ log *slog.Logger }

// Logf implements kfake.Logger.
func (l brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.log.Error("embedded Kafka", "text", fmt.Sprintf(format, args...))
	case kfake.LogLevelWarn:
		l.log.Warn("embedded Kafka", "text", fmt.Sprintf(format, args...))
	}
}
