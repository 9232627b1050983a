package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/wire"
)

// ErrNotPublished is the error of LoadView when Redis holds no dashboards at all,
// because none were published yet or because it was emptied. Whether the dashboard
// exists is not known then; the config service repairs it.
var ErrNotPublished = errors.New("dashboards are not in Redis yet: is the config service running?")

// LoadView returns the view of a dashboard; ok is false when there is no such
// dashboard. It fails with ErrNotPublished when that is not known.
func (s *Store) LoadView(ctx context.Context, id string) (v wire.View, ok bool, err error) {
	n := s.dashboardNames()
	var text *redis.StringCmd
	var version *redis.IntCmd
	_, err = s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		text = p.HGet(ctx, n.hash, id)
		version = p.Exists(ctx, n.version)
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, redis.Nil):
		return wire.View{}, false, fmt.Errorf("cannot read dashboard %q from Redis: %w", id, err)
	case text.Err() == nil:
		v, err := wire.DecodeView(text.Val())
		return v, err == nil, err
	case version.Val() == 0:
		return wire.View{}, false, ErrNotPublished
	}
	return wire.View{}, false, nil
}

// WatchViews calls changed with the ids of dashboards that were changed or
// deleted, a few milliseconds after the change. all means that any may have
// changed: at the start, after a reconnection, after a gap in the notices, and
// when a poll, every every, finds another version. WatchViews returns nil when ctx
// ends. changed is called from one goroutine and should not block.
func (s *Store) WatchViews(ctx context.Context, every time.Duration, changed func(ids []string, all bool)) error {
	n := s.dashboardNames()
	seen := int64(-1)
	s.follow(ctx, every, n.changed, func(ctx context.Context, why trigger) error {
		if len(why.names) > 0 {
			changed(why.names, false)
		}
		if why.continues(seen) {
			seen = why.last
			return nil
		}
		version, err := s.version(ctx, n)
		if err != nil {
			return err
		}
		// Version 0 is an emptied Redis: what was served stays in force until it is repaired.
		if (version != seen || why.all) && (version > 0 || seen < 0) {
			changed(nil, true)
		}
		seen = version
		return nil
	})
	return nil
}
