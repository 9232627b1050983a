package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"pulseboard/metric"
)

// What the config service derives from the documents of dashboards, once for all who
// follow it: the query set for the pipeline, a view of each dashboard for gateways and
// pages, and the notice of what changed.

// QueryEntry is one query of the query set and the refresh intervals, in ms, rising, at which some
// widget wants it.
type QueryEntry struct {
	Query     metric.Query `json:"query"`
	RefreshMs []int64      `json:"refresh_ms"`
	// Owners are dashboards that have it, by id: they pay for it. Of very many the first.
	Owners []Owner `json:"owners,omitempty"`
}

// Owner is a dashboard that has the query, and the token that changed it last.
type Owner struct {
	Dashboard string `json:"dashboard"`
	Token     string `json:"by,omitempty"`
}

// MaxOwners is how many owners of a query are published.
const MaxOwners = 16

// EncodeQuery returns the field of an entry, whose name is its metric key.
func EncodeQuery(key string, e QueryEntry) (string, error) {
	if k := e.Query.Key(); k != key {
		return "", fmt.Errorf("cannot publish the query %q under the key %q", k, key)
	}
	b, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("cannot encode the query %q: %w", key, err)
	}
	return string(b), nil
}

// DecodeQuery is the inverse of EncodeQuery. It fails where the query is not valid, or
// its metric key is another than key.
func DecodeQuery(key, text string) (e QueryEntry, err error) {
	if err = json.Unmarshal([]byte(text), &e); err == nil {
		err = e.validate(key)
	}
	if err != nil {
		return QueryEntry{}, fmt.Errorf("cannot read the query %q: %w", key, err)
	}
	e.Query = e.Query.Normal()
	return e, nil
}

func (e *QueryEntry) validate(key string) error {
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

// MaxNamed is how many changed fields a notice names: more are read faster as a whole.
const MaxNamed = 1000

// Notice is the message of a publication, on the channel of its hash.
type Notice struct {
	Version int64 `json:"version"`
	// Changed are the fields that differ from the version before, deleted ones too;
	// nil = too many to be named.
	Changed []string `json:"changed"`
}

// EncodeNotice returns the message.
func EncodeNotice(version int64, changed []string) string {
	if changed == nil {
		changed = []string{}
	}
	if len(changed) > MaxNamed {
		changed = nil
	}
	b, _ := json.Marshal(Notice{version, changed}) // Numbers and strings can be encoded.
	return string(b)
}

// DecodeNotice is the inverse of EncodeNotice; false when text is no notice.
func DecodeNotice(text string) (n Notice, ok bool) {
	ok = json.Unmarshal([]byte(text), &n) == nil && n.Version > 0
	return n, ok
}
