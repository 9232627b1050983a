package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"pulseboard/ingest/statsd"
	"pulseboard/internal/bodies"
	"pulseboard/internal/health"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
	"pulseboard/metric"
	"pulseboard/wire"
)

// DefaultDeliveryTimeout is how long a request waits for Kafka unless Config says otherwise.
const DefaultDeliveryTimeout = 10 * time.Second

// textsShare is the part of MaxPending that decoders may remember of requests, besides the bodies.
const textsShare = 4

// Config is what the service needs. Zero values mean the defaults, except Kafka.
type Config struct {
	host.Shared

	Kafka      kafkaconn.Endpoint
	Topic      string // "" = metric-events.
	DeadLetter string // Topic that EnsureTopics makes for the pipeline; "" = metric-dead-letters.
	Partitions int    // Of Topic when EnsureTopics makes it; 0 = wire.Partitions.
	// ForeignTopics has Open make no topics: others have made them.
	ForeignTopics bool
	Limits        metric.Limits // How far event time may be from arrival; zero = metric.DefaultLimits.
	MaxBody       int64         // Bytes of a body, decompressed; 0 = 16 MiB.
	MaxEvents     int           // In a request; 0 = 50,000.
	// MaxPending bounds the bodies of all requests under way, in bytes; 0 = 256 MiB.
	MaxPending int64
	// CutTags has tags beyond the limits cut to fit, where they are refused else.
	CutTags bool
	// RefuseStrings has fields of InfluxDB that are strings refused, where they are passed over else.
	RefuseStrings bool
	// OTLPAttributes are those of resources and scopes of OpenTelemetry that become tags besides otlp.DefaultAttributes.
	OTLPAttributes []string
	// DeliveryTimeout is how long a request waits for Kafka's acknowledgement; 0 = 10 s.
	DeliveryTimeout time.Duration
	// OtherTopics are those of others that Open begins to read, whose records become events.
	OtherTopics []TopicFormat
	// StatsD is where Open listens for it.
	StatsD statsd.Options
	// OTLPAddr is where Open listens for OTLP over gRPC, host:port; "" = nowhere.
	OTLPAddr string
}

func (c Config) withDefaults() (Config, error) {
	c.Topic = cmp.Or(c.Topic, wire.Topic)
	c.DeadLetter = cmp.Or(c.DeadLetter, wire.DeadLetterTopic)
	c.Partitions = cmp.Or(c.Partitions, wire.Partitions)
	c.Limits = cmp.Or(c.Limits, metric.DefaultLimits())
	c.MaxBody = cmp.Or(c.MaxBody, 16<<20)
	c.MaxEvents = cmp.Or(c.MaxEvents, 50_000)
	c.MaxPending = cmp.Or(c.MaxPending, 256<<20)
	c.DeliveryTimeout = cmp.Or(c.DeliveryTimeout, DefaultDeliveryTimeout)
	c.Log = cmp.Or(c.Log, slog.Default())
	switch {
	case c.Kafka.IsZero():
		return c, errors.New("cannot make the ingest service: no Kafka broker is named")
	case c.Partitions < 1, c.MaxBody < 1, c.MaxEvents < 1, c.DeliveryTimeout < 0:
		return c, errors.New("cannot make the ingest service: partitions, limits and the delivery timeout must be above 0")
	case c.MaxPending < c.MaxBody:
		return c, fmt.Errorf("cannot make the ingest service: requests may hold %d bytes in all, less than one of %d", c.MaxPending, c.MaxBody)
	}
	return c, nil
}

// Service is one stateless ingest node.
type Service struct {
	config   Config
	producer *producer
	budget   *bodies.Budget
	texts    *wire.Room // For what decoders remember of requests.
	metrics  *metrics
	sayings  *sayings
	packers  sync.Pool // Of *packer.
	gzips    sync.Pool // Of *gzip.Reader.
	zstds    sync.Pool // Of *zstd.Decoder.
	handler  http.Handler
	now      func() time.Time
	started  time.Time

	recent recent
	statsd net.Addr // Where Open listens for StatsD, nil = nowhere,
	otlp   net.Addr // and for OTLP over gRPC.
}

// New returns a service that does nothing before Run and Handler are used.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("cannot register the metrics of ingest: %w", err)
	}
	s := &Service{
		config: cfg, producer: newProducer(cfg, m), budget: bodies.New(cfg.MaxPending, m.pending), texts: wire.NewRoom(cfg.MaxPending / textsShare), metrics: m, sayings: newSayings(), now: time.Now, started: time.Now(),
	}
	m.pendingLimit.Set(float64(cfg.MaxPending))
	s.packers.New = newPacker
	s.gzips.New = func() any { return new(gzip.Reader) }
	s.zstds.New = func() any {
		// One thread and little memory: bodies are small and many. The options are right, so there is no error.
		z, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(cfg.MaxBody)))
		return z
	}
	s.handler = s.routes()
	return s, nil
}

// StatsD returns where Open listens for StatsD, nil = nowhere.
func (s *Service) StatsD() net.Addr { return s.statsd }

// OTLP returns where Open listens for OTLP over gRPC, nil = nowhere.
func (s *Service) OTLP() net.Addr { return s.otlp }

// Handler serves Routes and /openapi.yaml.
func (s *Service) Handler() http.Handler { return s.handler }

// Run keeps the number of partitions up to date until ctx ends, then waits for
// the records under way and returns nil. Requests must have ended by then.
func (s *Service) Run(ctx context.Context) error {
	s.producer.run(ctx)
	return nil
}

// EnsureTopics makes the topics that are missing. Its error says what to do.
func (s *Service) EnsureTopics(ctx context.Context) error {
	return s.producer.ensureTopics(ctx, s.config)
}

// Healthy reports whether events can be written: every partition has a leader.
func (s *Service) Healthy(ctx context.Context) error { return s.producer.refresh(ctx) }

// Checks are what the service needs to acknowledge an event.
func (s *Service) Checks() []health.Check {
	return []health.Check{{Name: "kafka", Probe: func(ctx context.Context) error {
		if err := s.producer.refresh(ctx); err != nil {
			return fmt.Errorf("Kafka cannot take events: %w", err) //nolint:staticcheck // A name begins the text.
		}
		return s.producer.last.err(time.Now())
	}}}
}
