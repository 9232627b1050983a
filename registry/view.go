package registry

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/metric"
)

// View is what gateways and pages need of a dashboard beside its document: the
// config service derives it once for all of them.
type View struct {
	Version   int64        `json:"version"` // Of the document.
	Variables []Variable   `json:"variables,omitempty"`
	Widgets   []WidgetView `json:"widgets"`
}

// Variable lets viewers choose among the series of widgets grouped by its tag.
type Variable struct {
	Name string `json:"name"`
	Tag  string `json:"tag"`
}

// WidgetView is a widget as streams know it.
type WidgetView struct {
	ID        string   `json:"id"`
	Key       string   `json:"key"`    // The metric key.
	KeyID     string   `json:"key_id"` // Stands for Key in few bytes.
	RefreshMs int64    `json:"refresh_ms"`
	WindowMs  int64    `json:"window_ms"`
	DelayMs   int64    `json:"delay_ms,omitempty"`
	GroupBy   []string `json:"group_by,omitempty"`
	// History: its picture shows more than the newest point.
	History bool `json:"history,omitempty"`
}

// NewWidgetView derives the view of a widget that shows q every refreshMs.
func NewWidgetView(id string, q metric.Query, refreshMs int64, history bool) WidgetView {
	q = q.Normal()
	key := q.Key()
	sum := sha256.Sum256([]byte(key))
	return WidgetView{
		// 200 key ids fit the hello that resumes their widgets, however long the keys are.
		ID: id, Key: key, KeyID: base64.RawURLEncoding.EncodeToString(sum[:12]),
		RefreshMs: refreshMs, WindowMs: int64(q.WindowSeconds) * 1000, DelayMs: int64(q.DelaySeconds) * 1000, GroupBy: q.GroupBy, History: history,
	}
}

// EncodeView returns the field of a dashboard in Redis.
func EncodeView(v View) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("cannot encode the view of a dashboard: %w", err)
	}
	return string(b), nil
}

// DecodeView reads what EncodeView writes.
func DecodeView(text string) (v View, err error) {
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return View{}, fmt.Errorf("cannot read the view of a dashboard: %w", err)
	}
	for i := range v.Widgets {
		if err := v.Widgets[i].validate(); err != nil {
			return View{}, fmt.Errorf("cannot read the view of a dashboard: widget %d %w", i, err)
		}
	}
	return v, nil
}

// maxWidgetID is more than a UUID has: frames of the stream have room for it.
const maxWidgetID = 200

func (w *WidgetView) validate() error {
	switch {
	case w.ID == "" || len(w.ID) > maxWidgetID:
		return fmt.Errorf("has an id of %d bytes: it must have 1 to %d", len(w.ID), maxWidgetID)
	case w.Key == "" || w.KeyID == "":
		return errors.New("has no key")
	case w.RefreshMs < 1 || w.WindowMs < 1 || w.DelayMs < 0:
		return fmt.Errorf("refreshes every %d ms, has a window of %d ms and a delay of %d ms", w.RefreshMs, w.WindowMs, w.DelayMs)
	}
	return nil
}

// ErrNotPublished is the error of LoadView when Redis holds no dashboards at all,
// because none were published yet or because it was emptied. Whether the dashboard
// exists is not known then; the config service repairs it.
var ErrNotPublished = errors.New("dashboards are not in Redis yet: is the config service running?")

// LoadView returns the view of a dashboard; ok is false when there is no such
// dashboard. It fails with ErrNotPublished when that is not known.
func (s *Store) LoadView(ctx context.Context, id string) (v View, ok bool, err error) {
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
		return View{}, false, fmt.Errorf("cannot read dashboard %q from Redis: %w", id, err)
	case text.Err() == nil:
		v, err := DecodeView(text.Val())
		return v, err == nil, err
	case version.Val() == 0:
		return View{}, false, ErrNotPublished
	}
	return View{}, false, nil
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
		version, err := s.client.Get(ctx, n.version).Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("cannot read %q from Redis: %w", n.version, err)
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
