package setting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"pulseboard/internal/embedded"
	"pulseboard/internal/redisconn"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

// Config says how much there is.
type Config struct {
	Dashboards int
	Widgets    int // Of each dashboard; each has a metric key of its own.
	Series     int // Of each widget; 1 = not grouped.
	History    int // Results of each metric key before the first live one.
	Dir        string
	Log        *slog.Logger
	// InProcess uses a slower Redis in this process, for tests.
	InProcess bool
}

// Bounds are those of the protocol.
func (c Config) validate() error {
	for _, b := range []struct {
		flag        string
		value       int
		least, most int
	}{
		{"--dashboards", c.Dashboards, 1, 10_000},
		{"--widgets", c.Widgets, 1, 200},
		{"--series", c.Series, 1, wire.MaxSeries},
		{"--history", c.History, 0, wire.HistoryLength},
	} {
		if b.value < b.least || b.value > b.most {
			return fmt.Errorf("%s is %d: it must be %d to %d", b.flag, b.value, b.least, b.most)
		}
	}
	return nil
}

// Setting is a Redis with dashboards and the results of their widgets.
type Setting struct {
	Config
	// IDs of the dashboards; the same in every run.
	IDs []string

	redis     *embedded.Redis
	log       *os.File // Of Redis.
	store     *results.Store
	publisher *Publisher
}

// Open starts Redis, publishes the dashboards and fills the histories. Nothing
// is live until the Publisher runs.
func Open(ctx context.Context, c Config) (_ *Setting, err error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	s := &Setting{Config: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.log, err = os.Create(filepath.Join(c.Dir, "redis.log")); err != nil {
		return nil, fmt.Errorf("cannot keep the log of Redis: %w", err)
	}
	s.redis, err = embedded.StartRedis(ctx, embedded.RedisConfig{Dir: c.Dir, MaxMemory: "4gb", Output: s.log, Log: c.Log, ForceInProcess: c.InProcess})
	if err != nil {
		return nil, err
	}
	if !c.InProcess && s.redis.Kind() != embedded.RedisServer {
		return nil, errors.New("cannot measure without redis-server: it is not on PATH; install it (Debian: apt-get install redis-server)")
	}
	boards := makeDashboards(c)
	if err := publishDashboards(ctx, s.redis.Addr(), c.Log, boards); err != nil {
		return nil, err
	}
	for _, b := range boards {
		s.IDs = append(s.IDs, b.id)
	}
	if s.store, err = results.Open(ctx, redisconn.At(s.redis.Addr())); err != nil {
		return nil, err
	}
	s.publisher = newPublisher(s.store, boards, c.Series)
	return s, s.publisher.fill(ctx, c.History)
}

func publishDashboards(ctx context.Context, redis string, log *slog.Logger, boards []dashboard) error {
	store, err := registry.Open(ctx, redisconn.At(redis), registry.WithLog(log))
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // It was written to, and answered.
	queries := map[string]wire.QueryEntry{}
	views := map[string]wire.View{}
	for _, b := range boards {
		views[b.id] = b.view
		for _, q := range b.queries {
			queries[q.Key()] = wire.QueryEntry{Query: q, RefreshMs: []int64{refreshMs}}
		}
	}
	if err := store.Publish(ctx, queries); err != nil {
		return err
	}
	return store.PublishViews(ctx, views)
}

// Redis returns the address, as redisconn takes it.
func (s *Setting) Redis() string { return s.redis.Addr() }

// Publisher returns what publishes the results.
func (s *Setting) Publisher() *Publisher { return s.publisher }

// Died is closed when Redis has ended.
func (s *Setting) Died() <-chan struct{} { return s.redis.Done() }

// Err says how Redis ended. It waits for that.
func (s *Setting) Err() error { return s.redis.Err() }

// Close ends Redis. What uses it ends before.
func (s *Setting) Close() error {
	var errs []error
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.redis != nil {
		errs = append(errs, s.redis.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	return errors.Join(errs...)
}
