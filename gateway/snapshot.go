package gateway

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/httpapi"
	"pulseboard/results"
	"pulseboard/wire"
)

// snapshotBody is the answer of GET …/snapshot.
type snapshotBody struct {
	State       wire.State         `json:"state"`
	Detail      string             `json:"detail,omitempty"` // Why it is limited.
	WindowStart *int64             `json:"window_start,omitempty"`
	WindowEnd   *int64             `json:"window_end,omitempty"`
	NewestEvent *int64             `json:"newest_event"`
	Complete    bool               `json:"complete"`
	Series      []wire.SeriesValue `json:"series"`
	Truncated   int                `json:"truncated,omitempty"` // Series that did not leave the pipeline: those with lower values.
}

func (h *hub) getSnapshot(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), redisTimeout)
	defer cancel()
	v, ok, err := h.dashboards.LoadView(ctx, c.Param("id"))
	if err != nil {
		h.failRead(c, "the dashboard cannot be read at the moment", err)
		return
	}
	if !ok {
		httpapi.Fail(c, http.StatusNotFound, "there is no such dashboard")
		return
	}
	for i := range v.Widgets {
		s := &v.Widgets[i]
		if s.ID != c.Param("wid") {
			continue
		}
		r, st, err := h.current(ctx, s)
		if err != nil {
			h.failRead(c, "the results cannot be read at the moment", err)
			return
		}
		h.metrics.snapshots.WithLabelValues("http").Inc()
		c.Header("Cache-Control", "no-store")
		b := newSnapshotBody(r, st)
		if st == wire.StateLimited {
			b.Detail = h.whyLimited(s.Key)
		}
		c.JSON(http.StatusOK, b)
		return
	}
	httpapi.Fail(c, http.StatusNotFound, "the dashboard has no such widget")
}

func (h *hub) failRead(c *gin.Context, detail string, err error) {
	h.log.Warn("a snapshot cannot be given", "dashboard", c.Param("id"), "widget", c.Param("wid"), "error", err)
	c.Header("Retry-After", "1")
	httpapi.Fail(c, http.StatusServiceUnavailable, detail)
}

// current returns the newest result of a widget, nil when there is none, and
// its state: from memory where somebody watches it, else from Redis.
func (h *hub) current(ctx context.Context, s *wire.WidgetView) (*wire.Result, wire.State, error) {
	h.mu.Lock()
	f := h.feeds[results.Stream{Key: s.Key, RefreshMs: s.RefreshMs}]
	h.mu.Unlock()
	if f != nil {
		if r, st, loaded := f.newest(h.now()); loaded {
			return r, st, nil
		}
	}
	r, err := h.results.Latest(ctx, s.Key, s.RefreshMs)
	if err != nil {
		return nil, "", err
	}
	// A feed of the moment judges by the same rules.
	f = newFeed(s, h.sliceMs, h.horizon)
	f.limited = h.whyLimited(s.Key)
	now := h.now()
	f.beginRead()
	if r != nil {
		f.endRead([]*wire.Result{r}, now)
	}
	r, st, _ := f.newest(now)
	return r, st, nil
}

func (h *hub) whyLimited(key string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.limited[key]
}

// newSnapshotBody withholds the values of what is stale or limited.
func newSnapshotBody(r *wire.Result, st wire.State) snapshotBody {
	b := snapshotBody{State: st, Series: []wire.SeriesValue{}}
	if r == nil {
		return b
	}
	b.WindowStart, b.WindowEnd, b.NewestEvent, b.Complete = &r.WindowStart, &r.WindowEnd, r.NewestEvent, r.Complete
	if st != wire.StateStale && st != wire.StateLimited && r.Series != nil {
		b.Series, b.Truncated = r.Series, r.Truncated
	}
	return b
}
