package ingest

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go"

	"pulseboard/internal/clock"
	"pulseboard/internal/kafkaconn"
)

// run refreshes the metadata until ctx ends, then waits for requests and retries.
func (p *producer) run(ctx context.Context) {
	for clock.Sleep(ctx, refreshEvery) {
		if err := p.refresh(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("Kafka cannot be asked for partitions", "error", err)
		}
	}
	p.wg.Wait()
	p.transport.CloseIdleConnections()
}

// refresh reads the partitions of the topic and their leaders from Kafka. Its error is that
// of the topic, or names a partition that has no leader; the others are adopted.
func (p *producer) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	t, err := p.metadata(ctx, p.topic)
	switch {
	case err != nil:
		return err
	case t.Error != nil:
		return fmt.Errorf("cannot write to the topic %s: %w", p.topic, t.Error)
	case len(t.Partitions) == 0:
		return fmt.Errorf("cannot write to the topic %s: it has no partition", p.topic)
	}
	for _, part := range t.Partitions {
		if part.Leader.Host == "" {
			err = fmt.Errorf("partition %d of the topic %s has no leader", part.ID, p.topic)
		}
	}
	p.adopt(t.Partitions)
	return err
}

// adopt takes over the partitions of the topic and their leaders.
func (p *producer) adopt(partitions []kafka.Partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, found := range partitions {
		for len(p.partitions) <= found.ID {
			p.partitions = append(p.partitions, &partition{id: len(p.partitions), leader: p.leader(-1)})
		}
		// One that is ready stays with that leader until it is sent.
		if part := p.partitions[found.ID]; !part.ready {
			part.leader = p.leader(found.Leader.ID)
		}
	}
	// A topic that was deleted and made again may have fewer than before: records that still
	// wait for one of those expire, and no further ones go there.
	for p.ids = p.ids[:min(len(p.ids), len(partitions))]; len(p.ids) < len(partitions); {
		p.ids = append(p.ids, len(p.ids))
	}
}

func (p *producer) leader(id int) *leader {
	l := p.leaders[id]
	if l == nil {
		l = new(leader)
		p.leaders[id] = l
	}
	return l
}

// unreachableError is the part of the error that clients get; for the operator,
// ensureTopics has the endpoint explain it.
type unreachableError struct {
	at  kafkaconn.Endpoint
	err error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("cannot reach Kafka at %s: %v", e.at, e.err)
}

func (e *unreachableError) Unwrap() error { return e.err }

func (p *producer) metadata(ctx context.Context, topic string) (kafka.Topic, error) {
	res, err := p.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return kafka.Topic{}, &unreachableError{p.at, err}
	}
	for _, t := range res.Topics {
		if t.Name == topic {
			return t, nil
		}
	}
	return kafka.Topic{}, fmt.Errorf("Kafka at %s says nothing of the topic %s", p.at, topic) //nolint:staticcheck // A name begins the text.
}
