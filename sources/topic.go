package sources

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"pulseboard/internal/clock"
	"pulseboard/internal/kafkaconn"
)

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
