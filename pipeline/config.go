package pipeline

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/redisconn"
	"pulseboard/limits"
	"pulseboard/metric"
	"pulseboard/sources"
	"pulseboard/wire"
)

// Config is the job: where events come from, what windows are, what may be held, and where results go.
type Config struct {
	Source
	Windows
	State
	Sink

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Source is what is read, and how far apart and ahead. Durations are of record time, see docs/semantics.md.
type Source struct {
	Kafka      kafkaconn.Endpoint
	Topic      string        // Of events.
	Bound      time.Duration // Pipeline time is the newest record timestamp less this (max out-of-orderness); each result is at least this late.
	ReplicaTag string        // It tells apart agents that scrape the same targets, so that each sample counts once; "" = there are none.
	Dedupe     time.Duration // A record is a duplicate when its id was there in this much record time before; 0 = none is.
	Align      time.Duration // Partitions are read at most this far apart.
	Lead       time.Duration // Most that the source is ahead of the slowest key group; 0 = twice what one timer passes when it catches up.

	// Of bounded runs and tests.
	Start time.Time // Records are read from this timestamp on. Zero: as far back as the queries' windows reach.
	ToEnd bool      // Stop at the ends that the partitions have at the start.

	clockMs int64 // See sources.Options.
}

// Windows is what an event counts in.
type Windows struct {
	Slice     time.Duration // Every window is made of slices this long, see CheckSlice.
	Lateness  time.Duration // An event may be this much older than its record's timestamp.
	Skew      time.Duration // An event may be this much newer than its record's timestamp (max future).
	MaxWindow time.Duration // The longest window; slices are kept that long.

	// Of bounded runs and tests.
	Until   time.Time     // No window that ends after this is evaluated. Zero: all are.
	Retain  time.Duration // Slices are kept this long; 0 = as long as windows and charts need them.
	CatchUp int64         // See transforms.SlideOptions.
}

// State is what the job may hold.
type State struct {
	KeyGroups       int   // Metrics are hashed to this many keys of Beam state.
	SeriesPerMetric int   // Further series of a metric are counted as one, __other__.
	StateBytes      int64 // Beyond this much memory no series is added.
	// BudgetShare is the part of what queries may have, of trees, histories and evaluations, that one dashboard may
	// have; a metric and a token twice as much.
	BudgetShare float64
}

// Sink is where results and dead letters go.
type Sink struct {
	Redis       redisconn.Endpoint // Has the queries too.
	DeadLetters string             // Topic for records that cannot be counted.
	// Holder names the writer of results: a process that takes the place of one that ended has the same, and need not wait
	// until that one's lease has expired.
	Holder string
	Hidden []string // Metrics that are computed like others, and are not in the catalog of metrics.
}

// Default returns the documented defaults.
func Default() Config {
	return Config{
		Source:  Source{Topic: wire.Topic, Bound: 200 * time.Millisecond, Dedupe: 2 * time.Minute, Align: 10 * time.Second},
		Windows: Windows{Slice: time.Second, Lateness: time.Minute, Skew: 2 * time.Second, MaxWindow: time.Hour, CatchUp: 5},
		State:   State{KeyGroups: DefaultKeyGroups, SeriesPerMetric: 20_000, StateBytes: 2 << 30, BudgetShare: limits.DefaultShare},
		Sink:    Sink{DeadLetters: wire.DeadLetterTopic, Holder: rand.Text(), Hidden: []string{"pulseboard.canary"}}, // See clients/canary.
		Log:     slog.Default(), Metrics: prometheus.NewRegistry(),
	}
}

// DefaultKeyGroups is for Prism: a timer cycle costs about as much whatever a
// key group holds, so few are better there (bench/README.md has the figures).
const DefaultKeyGroups = 16

// Validate reports everything that is wrong, before anything is connected to.
func (c *Config) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Kafka.IsZero(), "no Kafka broker: name one with --kafka host:port")
	bad(c.Topic == "" || c.DeadLetters == "", "the topics must have names")
	bad(c.Redis.IsZero(), "no Redis: name it with --redis host:port")
	errs = append(errs, CheckSlice(c.Slice))
	bad(c.Bound < 0 || c.Lateness < 0 || c.Skew < 0, "--bound, --lateness and --skew must not be negative")
	bad(c.Dedupe < 0 || c.Dedupe > sources.MaxDedupe, "--dedupe is %v: it must be 0 to 24 days (576h)", c.Dedupe)
	errs = append(errs, CheckReplicaTag(c.ReplicaTag))
	bad(c.Align < c.Slice, "--align is %v: it must be at least a slice", c.Align)
	bad(c.MaxWindow < time.Second || c.MaxWindow > metric.MaxWindowSeconds*time.Second,
		"--max-window is %v: it must be 1s to 24h", c.MaxWindow)
	bad(c.SeriesPerMetric < 1, "--series-per-metric is %d: it must be 1 or more", c.SeriesPerMetric)
	bad(c.StateBytes < 1<<20, "--state-bytes is %d: it must be 1 MiB or more", c.StateBytes)
	bad(c.BudgetShare <= 0 || c.BudgetShare > 1, "--budget-share is %g: it must be above 0 and at most 1", c.BudgetShare)
	bad(c.KeyGroups < 1 || c.KeyGroups > 4096, "--key-groups is %d: it must be 1 to 4096", c.KeyGroups)
	return errors.Join(errs...)
}

// CheckReplicaTag says what is wrong with the key of the tag that tells replicas apart; there need be none.
func CheckReplicaTag(tag string) error {
	if tag == "" {
		return nil
	}
	if err := metric.ValidateTagKey(tag); err != nil {
		return fmt.Errorf("--ha-tag: %w", err)
	}
	return nil
}

// CheckSlice says what is wrong with the length of slices: windows end at whole seconds, and shorter slices cost more
// than they gain.
func CheckSlice(slice time.Duration) error {
	if slice < 50*time.Millisecond || slice > time.Second || time.Second%slice != 0 {
		return fmt.Errorf("--slice is %v: it must divide one second and be 50ms or more, such as 1s, 500ms or 250ms", slice)
	}
	return nil
}

// NewRun names a run of the job within its processes.
func NewRun() string { return rand.Text() }
