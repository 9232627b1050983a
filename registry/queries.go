package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"pulseboard/limits"
	"pulseboard/metric"
)

// Entry is one query and the refresh intervals, in ms, rising, at which some
// widget wants it.
type Entry struct {
	Query     metric.Query `json:"query"`
	RefreshMs []int64      `json:"refresh_ms"`
	// Owners are dashboards that have it, by id: they pay for it. Of very many the first.
	Owners []limits.Owner `json:"owners,omitempty"`
}

// MaxOwners is how many owners of a query are told.
const MaxOwners = 16

// Set is the query set at one moment. It must not be changed.
type Set struct {
	// Version counts publications; 0 = never published. It begins again when
	// Redis was emptied.
	Version int64
	// Entries by metric key.
	Entries map[string]Entry
	// Skipped are the hash fields that were left out because they cannot be
	// read or their key is not that of their query.
	Skipped []string
}

// Publish makes the query set in Redis equal to entries, by metric key, all at
// once, and tells the readers. It does nothing when Redis equals them already.
func (s *Store) Publish(ctx context.Context, entries map[string]Entry) error {
	want := make(map[string]string, len(entries))
	for key, e := range entries {
		text, err := EncodeEntry(key, e)
		if err != nil {
			return err
		}
		want[key] = text
	}
	_, err := s.replace(ctx, "", s.queryNames(), want, versionMessage)
	return err
}

// Load returns the query set. One bad entry does not fail it: see Set.Skipped.
func (s *Store) Load(ctx context.Context) (Set, error) {
	snap, err := s.read(ctx, s.queryNames())
	if err != nil {
		return Set{}, err
	}
	return decode(snap), nil
}

func decode(snap snapshot) Set {
	set := Set{Version: snap.version, Entries: make(map[string]Entry, len(snap.fields))}
	for key, text := range snap.fields {
		var e Entry
		if json.Unmarshal([]byte(text), &e) != nil || e.valid(key) != nil {
			set.Skipped = append(set.Skipped, key)
			continue
		}
		e.Query = e.Query.Normal()
		set.Entries[key] = e
	}
	slices.Sort(set.Skipped)
	return set
}

func (e Entry) valid(key string) error {
	if err := e.Query.Validate(); err != nil {
		return err
	}
	if k := e.Query.Key(); k != key {
		return fmt.Errorf("the key is %q, that of the query %q", key, k)
	}
	if len(e.RefreshMs) == 0 || slices.Min(e.RefreshMs) < 1 {
		return fmt.Errorf("refresh_ms %v must hold positive intervals", e.RefreshMs)
	}
	return nil
}

// Watch calls apply with the query set at the start, and again whenever it has
// changed: on each message, after each reconnection and at least every every.
// While Redis is away, and after it was emptied until the config service has
// repaired it, the last set stays in force. Watch returns nil when ctx ends.
// apply is called from one goroutine.
func (s *Store) Watch(ctx context.Context, every time.Duration, apply func(Set)) error {
	var last *snapshot
	s.follow(ctx, every, s.queryNames().changed, func(ctx context.Context, _ occasion) error {
		now, err := s.read(ctx, s.queryNames())
		if err != nil {
			return err
		}
		if last != nil && (now.version == 0 || maps.Equal(now.fields, last.fields)) {
			return nil
		}
		last = &now
		set := decode(now)
		if len(set.Skipped) > 0 {
			s.log.Warn("queries were left out of the set: unreadable, or not under their key", "count", len(set.Skipped), "first", set.Skipped[0])
		}
		apply(set)
		return nil
	})
	return nil
}
