package bridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/internal/clock"
	"pulseboard/metric"
)

// Check says which of the topics cannot be read, and what to do.
func (b *Bridge) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest() // It makes no topics.
	for _, name := range b.Topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	res, err := req.RequestWith(ctx, b.client)
	if err != nil {
		return b.Kafka.Explain(err)
	}
	for _, t := range res.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return fmt.Errorf("there is no topic %q in Kafka at %s, which --topic-format names: let its writer make it, or kafka-topics.sh --bootstrap-server %s --create --topic %s; or correct the name",
				*t.Topic, b.Kafka, b.Kafka, *t.Topic)
		case errors.Is(err, kerr.InvalidTopicException):
			return fmt.Errorf("no topic of Kafka can have the name %q: correct --topic-format", *t.Topic)
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			return fmt.Errorf("topic %s: %w", *t.Topic, b.Kafka.Explain(err))
		}
	}
	return nil
}

// commit commits offsets as the member of the group that the client is.
func commit(ctx context.Context, client *kgo.Client, offsets map[string]map[int32]kgo.EpochOffset) error {
	var failed error
	client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, res *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err != nil {
			return
		}
		for _, t := range res.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed = fmt.Errorf("topic %s, partition %d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	})
	return failed
}

// writeLetters writes the records of which something was refused to the topic of dead letters, and reports whether that was done before ctx
// ended. They are written before their offsets are committed, so each is there at least once.
func (b *Bridge) writeLetters(ctx context.Context, records []*kgo.Record, outcomes []Outcome) bool {
	var letters []*kgo.Record
	for i, r := range records {
		if f := outcomes[i].Fault; f != nil {
			letters = append(letters, letter(b.DeadLetter, r, f))
			b.metrics.letters.WithLabelValues(r.Topic, f.Code).Inc()
		}
	}
	for backoff := firstBackoff; len(letters) > 0; backoff = min(2*backoff, longestBackoff) {
		var again []*kgo.Record
		var why error
		for _, res := range b.client.ProduceSync(ctx, letters...) {
			switch {
			case res.Err == nil:
				continue
			case errors.Is(res.Err, kerr.MessageTooLarge):
				res.Record.Value = nil // The headers say where it stands.
			default:
				why = res.Err
			}
			again = append(again, &kgo.Record{Topic: b.DeadLetter, Key: res.Record.Key, Value: res.Record.Value, Headers: res.Record.Headers})
		}
		if letters = again; why == nil {
			continue
		}
		b.undelivered.do(func() {
			b.Log.Error("dead letters cannot be written: reading other topics waits, so that nothing is lost", "topic", b.DeadLetter, "letters", len(letters), "error", b.explain(why))
		})
		if !clock.Sleep(ctx, backoff) {
			return false
		}
	}
	return true
}

func letter(topic string, r *kgo.Record, f *metric.Fault) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value, Headers: []kgo.RecordHeader{
		{Key: "error", Value: []byte(f.Code)},
		{Key: "detail", Value: []byte(f.Detail)},
		{Key: "source-topic", Value: []byte(r.Topic)},
		{Key: "source-partition", Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
		{Key: "source-offset", Value: strconv.AppendInt(nil, r.Offset, 10)},
	}}
}

// explain says what to do about an error of reading or writing.
func (b *Bridge) explain(err error) error {
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return fmt.Errorf("Kafka at %s does not allow the user %q to read as the group %q: allow Read on it (docs/access.md lists what is needed): %w", b.Kafka, b.Kafka.User, b.Group, err) //nolint:staticcheck // A name begins the text.
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return b.Kafka.Explain(err)
	}
	return err
}
