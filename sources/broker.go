package sources

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/internal/clock"
	"pulseboard/internal/kafkaconn"
)

// broker sends requests about one topic to Kafka, with a deadline each time.
type broker struct {
	at    kafkaconn.Endpoint
	topic string
	dial  kafkaconn.Dial // Tests take another.

	mu       sync.Mutex
	metadata *kgo.Client      // The connection for metadata.
	id       [16]byte         // Of the topic.
	leaders  map[int32]string // Partition → host:port; nil = to be learnt.
	conns    map[int32]*conn
}

// conn is the connection over which one partition is read. Each partition has its own: a
// broker responds to the fetches of one connection in turn, and waits for records with each.
type conn struct {
	addr   string
	client *kgo.Client
}

const (
	requestTimeout = 5 * time.Second
	dialTimeout    = 3 * time.Second
)

func newBroker(at kafkaconn.Endpoint, topic string) *broker {
	return &broker{at: at, topic: topic, dial: at.Dial(dialTimeout), conns: make(map[int32]*conn)}
}

func (b *broker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.metadata != nil {
		b.metadata.Close()
	}
	for id, c := range b.conns {
		c.client.Close()
		delete(b.conns, id)
	}
	b.metadata = nil
}

// client returns one that repeats no request by itself: a fault must be seen, since
// what the broker confirms does not count for a while after it, see idleness.
func (b *broker) client(seeds ...string) (*kgo.Client, error) {
	return kgo.NewClient(append(b.at.Options(b.dial), kgo.SeedBrokers(seeds...), kgo.ClientID("pulseboard-pipeline"), kgo.RequestRetries(0))...)
}

var errEmpty = errors.New("the answer is empty")

// partitions returns the ids of the topic's partitions in rising order, and learns their leaders.
func (b *broker) partitions(ctx context.Context) ([]int32, error) {
	fail := func(err error) ([]int32, error) {
		return nil, fmt.Errorf("cannot read the metadata of topic %s: %w", b.topic, err)
	}
	b.mu.Lock()
	if b.metadata == nil {
		client, err := b.client(b.at.Brokers...)
		if err != nil {
			b.mu.Unlock()
			return fail(err)
		}
		b.metadata = client
	}
	client := b.metadata
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(b.topic)
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		return fail(err)
	}
	if len(res.Topics) != 1 {
		return fail(errEmpty)
	}
	t := &res.Topics[0]
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		return fail(err)
	}
	addrs := make(map[int32]string)
	for _, broker := range res.Brokers {
		addrs[broker.NodeID] = net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))
	}
	ids, leaders := make([]int32, 0, len(t.Partitions)), make(map[int32]string)
	for _, p := range t.Partitions {
		ids = append(ids, p.Partition)
		if addr, ok := addrs[p.Leader]; ok {
			leaders[p.Partition] = addr
		}
	}
	slices.Sort(ids)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id, b.leaders = t.TopicID, leaders
	return ids, nil
}

// leader returns the connection to the leader of a partition, and the topic's id.
func (b *broker) leader(ctx context.Context, partition int32) (*conn, [16]byte, error) {
	b.mu.Lock()
	known := b.leaders != nil
	b.mu.Unlock()
	if !known {
		if _, err := b.partitions(ctx); err != nil {
			return nil, [16]byte{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	addr, ok := b.leaders[partition]
	if !ok {
		return nil, b.id, kerr.LeaderNotAvailable
	}
	c := b.conns[partition]
	if c != nil && c.addr == addr {
		return c, b.id, nil
	}
	if c != nil {
		c.client.Close()
	}
	client, err := b.client(addr)
	if err != nil {
		return nil, b.id, err
	}
	c = &conn{addr, client}
	b.conns[partition] = c
	return c, b.id, nil
}

// forgetLeaders makes the next request learn the leaders anew.
func (b *broker) forgetLeaders() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaders = nil
}

func (c *conn) request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return c.client.SeedBrokers()[0].Request(ctx, req)
}

// topicID is the id of the topic as it was last learnt.
func (b *broker) topicID() [16]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.id
}

func (b *broker) log(partition int32) partitionLog { return brokerLog{b, partition} }

// AwaitTopic waits until a topic exists, and logs that it does. It fails as Partitions does when Kafka cannot be
// reached, which it does not wait for, and when ctx ends.
func AwaitTopic(ctx context.Context, brokers kafkaconn.Endpoint, topic string, log *slog.Logger) error {
	const every, warnEvery = time.Second, 30
	for n := 0; ; n++ {
		_, err := Partitions(ctx, brokers, topic)
		if err == nil || !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return err
		}
		if n%warnEvery == 0 {
			log.Warn("the topic is not there yet: waiting for it; ingest makes it when it starts, or make it yourself", "topic", topic, "kafka", brokers)
		}
		if clock.Sleep(ctx, every); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Partitions counts the partitions of a topic. It fails with one line for the operator when Kafka
// cannot be reached or has no such topic.
func Partitions(ctx context.Context, at kafkaconn.Endpoint, topic string) (int, error) {
	b := newBroker(at, topic)
	defer b.close()
	ids, err := b.partitions(ctx)
	if err == nil && len(ids) == 0 {
		err = kerr.UnknownTopicOrPartition
	}
	if err != nil {
		return 0, at.Explain(err)
	}
	return len(ids), nil
}
