package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"pulseboard/internal/clock"
)

// ensureTopics makes what is missing and is content with what is there.
func (p *producer) ensureTopics(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeout(ctx, 2*metadataTimeout)
	defer cancel()
	if _, err := p.metadata(ctx, cfg.Topic); err != nil {
		if unreachable, ok := errors.AsType[*unreachableError](err); ok {
			return p.at.Explain(unreachable.err)
		}
		return err
	}
	// Over a transport of its own: kafka-go waits until the transport's metadata show
	// every topic that was made, and those of the producer's transport show one topic.
	transport := cfg.Kafka.Transport(&kafka.Transport{ClientID: clientID, DialTimeout: time.Second})
	defer transport.CloseIdleConnections()
	admin := &kafka.Client{Addr: p.client.Addr, Transport: transport}
	res, err := admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		topicConfig(cfg.Topic, cfg.Partitions), topicConfig(cfg.DeadLetter, 1),
	}})
	if err != nil {
		return fmt.Errorf("cannot make topics in Kafka at %s: %w", p.at, err)
	}
	for _, name := range slices.Sorted(maps.Keys(res.Errors)) {
		err := res.Errors[name]
		if err == nil || errors.Is(err, kafka.TopicAlreadyExists) {
			continue
		}
		// A user without the right to make topics may write to those that others made.
		if t, e := p.metadata(ctx, name); e == nil && t.Error == nil {
			continue
		}
		return fmt.Errorf("cannot make the topic %s in Kafka at %s: %w", name, p.at, err)
	}
	if err := p.awaitLeaders(ctx); err != nil {
		return err
	}
	return p.at.CheckTopic(ctx, cfg.Topic, p.log)
}

func topicConfig(name string, partitions int) kafka.TopicConfig {
	return kafka.TopicConfig{
		Topic: name, NumPartitions: partitions, ReplicationFactor: -1, // As the broker's default.
		ConfigEntries: []kafka.ConfigEntry{
			// A compacted topic would lose events: all of a metric have the same key.
			{ConfigName: "cleanup.policy", ConfigValue: "delete"},
			// The broker's clock stamps the records of all producers: a wrong clock of one
			// cannot move the windows of another.
			{ConfigName: "message.timestamp.type", ConfigValue: "LogAppendTime"},
		},
	}
}

// awaitLeaders waits until every partition of a topic that was just made has a leader.
func (p *producer) awaitLeaders(ctx context.Context) error {
	backoff := firstBackoff
	for {
		err := p.refresh(ctx)
		if err == nil {
			return nil
		}
		if !clock.Sleep(ctx, backoff) {
			return err
		}
		backoff = min(2*backoff, longestBackoff)
	}
}
