package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrNotPublished is the error of LoadDashboard when Redis holds no dashboards
// at all because nobody published them yet, or because it was emptied. Whether
// the dashboard exists is not known then; the config service repairs it.
var ErrNotPublished = errors.New("dashboards are not in Redis yet: is the config service running?")

// PublishDashboards makes the dashboards in Redis equal to docs, by id, all at
// once, and publishes the ids of those that differ, deleted ones too. It does
// nothing when Redis equals them already.
func (s *Store) PublishDashboards(ctx context.Context, docs map[string][]byte) error {
	want := make(map[string]string, len(docs))
	for id, doc := range docs {
		want[id] = string(doc)
	}
	_, err := s.replace(ctx, "", s.dashboardNames(), want, idMessages)
	return err
}

// LoadDashboard returns the document of a dashboard; ok is false when there is
// no such dashboard.
func (s *Store) LoadDashboard(ctx context.Context, id string) (doc []byte, ok bool, err error) {
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
		return nil, false, fmt.Errorf("cannot read dashboard %q from Redis: %w", id, err)
	case text.Err() == nil:
		return []byte(text.Val()), true, nil
	case version.Val() == 0:
		return nil, false, ErrNotPublished
	}
	return nil, false, nil
}

// WatchDashboards calls changed with the ids that were changed or deleted, a
// few milliseconds after the change. all means that anything may have changed:
// at the start, after a reconnection, and when a poll, every every, finds that
// something was published since the last one. The caller then compares the
// versions of the dashboards that it serves. WatchDashboards returns nil when
// ctx ends. changed is called from one goroutine and should not block.
func (s *Store) WatchDashboards(ctx context.Context, every time.Duration, changed func(ids []string, all bool)) error {
	n := s.dashboardNames()
	seen := int64(-1)
	s.follow(ctx, every, n.changed, func(ctx context.Context, why occasion) error {
		if len(why.payloads) > 0 {
			changed(why.payloads, false)
		}
		if !why.poll && !why.subscribed {
			return nil
		}
		version, err := s.client.Get(ctx, n.version).Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("cannot read %q from Redis: %w", n.version, err)
		}
		// Version 0 is an emptied Redis: what was served stays in force until it is repaired.
		// A new subscription says "changed" whatever the version: Redis may have begun to count again.
		if (version != seen || why.subscribed) && (version > 0 || seen < 0) {
			changed(nil, true)
		}
		seen = version
		return nil
	})
	return nil
}
