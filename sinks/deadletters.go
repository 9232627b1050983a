package sinks

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"pulseboard/internal/clock"
	"pulseboard/internal/kafkaconn"
	"pulseboard/job"
	"pulseboard/transforms"
)

// DeadLettersFn writes dead letters to a topic when the bundle ends. Kafka being
// away holds the bundle for a while, and then costs the letters, counted: a bad
// record never stops the good ones.
type DeadLettersFn struct {
	Run   string
	Topic string

	letters []transforms.DeadLetter
}

func init() {
	beam.RegisterDoFn(&DeadLettersFn{})
}

// WriteDeadLetters ends PCollection<DeadLetter>.
func WriteDeadLetters(s beam.Scope, f DeadLettersFn, letters beam.PCollection) {
	beam.ParDo0(s.Scope("WriteDeadLetters"), &f, letters)
}

// StartBundle is called by the SDK, like the methods below.
func (f *DeadLettersFn) StartBundle(context.Context) { f.letters = f.letters[:0] }

// ProcessElement keeps a letter until the bundle ends.
func (f *DeadLettersFn) ProcessElement(_ context.Context, l transforms.DeadLetter) {
	f.letters = append(f.letters, l)
}

// FinishBundle writes the letters.
func (f *DeadLettersFn) FinishBundle(ctx context.Context) {
	if len(f.letters) == 0 {
		return
	}
	for _, l := range f.letters {
		deadLetters.WithLabelValues(l.Code).Inc()
	}
	ctx, cancel := context.WithTimeout(ctx, letterPatience)
	defer cancel()
	if lost, err := f.write(ctx, f.letters); err != nil {
		deadLettersLost.Add(float64(lost))
		slog.Error("cannot write dead letters; they are lost", "topic", f.Topic, "letters", lost, "first_code", f.letters[0].Code, "error", err)
	}
}

// How long the letters of a bundle may wait for Kafka.
const letterPatience = 5 * time.Second

// write writes letters, in as many requests as the topic's max.message.bytes wants. One that is too large by
// itself, as a record of that size is with its headers, goes without its value: they say where that stands.
func (f *DeadLettersFn) write(ctx context.Context, letters []transforms.DeadLetter) (lost int, err error) {
	err = f.produce(ctx, letters)
	switch {
	case err == nil:
		return 0, nil
	case !errors.Is(err, kafka.MessageSizeTooLarge):
		return len(letters), err
	case len(letters) > 1:
		half := len(letters) / 2
		lost1, err1 := f.write(ctx, letters[:half])
		lost2, err2 := f.write(ctx, letters[half:])
		return lost1 + lost2, errors.Join(err1, err2)
	case letters[0].Value == nil:
		return 1, err
	}
	l := letters[0]
	l.Value = nil
	return f.write(ctx, []transforms.DeadLetter{l})
}

// produce writes letters in one request, again and again until ctx ends.
func (f *DeadLettersFn) produce(ctx context.Context, letters []transforms.DeadLetter) error {
	out, err := job.Of[*Letters](f.Run)
	if err != nil {
		return err
	}
	for {
		records := make([]kafka.Record, 0, len(letters))
		for _, l := range letters {
			records = append(records, kafka.Record{
				Time: time.Now(), Key: kafka.NewBytes(l.Key), Value: kafka.NewBytes(l.Value),
				Headers: []kafka.Header{
					{Key: "error", Value: []byte(l.Code)},
					{Key: "detail", Value: []byte(l.Detail)},
					{Key: "source-partition", Value: strconv.AppendInt(nil, int64(l.Partition), 10)},
					{Key: "source-offset", Value: strconv.AppendInt(nil, l.Offset, 10)},
				},
			})
		}
		// Produce tells of some faults in its error and of others in the answer's.
		res, err := out.client.Produce(ctx, &kafka.ProduceRequest{
			Topic: f.Topic, Partition: 0, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
		})
		if err == nil {
			err = errors.Join(append(slices.Collect(maps.Values(res.RecordErrors)), res.Error)...)
		}
		if err == nil || errors.Is(err, kafka.MessageSizeTooLarge) {
			return err
		}
		out.transport.CloseIdleConnections() // Leaders are learnt anew.
		if !clock.Sleep(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// Letters is the connection to Kafka over which a process writes dead letters. A job must not hold how one gets into
// Kafka: it goes over the network, and into checkpoints.
type Letters struct {
	client    *kafka.Client
	transport *kafka.Transport
}

// NewLetters returns one that connects with the first letter.
func NewLetters(brokers kafkaconn.Endpoint) *Letters {
	t := brokers.Transport(&kafka.Transport{ClientID: "pulseboard-dead-letters", DialTimeout: time.Second, MetadataTTL: time.Second})
	return &Letters{&kafka.Client{Addr: brokers.Addr(), Timeout: 2 * time.Second, Transport: t}, t}
}

// Close closes its connections.
func (l *Letters) Close() error {
	l.transport.CloseIdleConnections()
	return nil
}

var (
	deadLetters = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_dead_letters_total", Help: "Records and events that could not be counted, by code (docs/protocol.md); they are in the topic of dead letters. Normal: 0.",
	}, []string{"code"})
	deadLettersLost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulseboard_pipeline_dead_letters_lost_total", Help: "Dead letters that could not be written to Kafka either. Normal: 0.",
	})
)
