package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/gateway/feeds"
	"pulseboard/gateway/rooms"
	"pulseboard/gateway/stream"
	"pulseboard/internal/httpapi"
	"pulseboard/wire"
)

const redisTimeout = 3 * time.Second

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
	Error       float64            `json:"error,omitempty"`     // How far off values may be, relatively, where it is more than usual.
}

// snapshots answers GET /dashboards/{id}/widgets/{wid}/snapshot.
type snapshots struct {
	views rooms.Views
	feeds *feeds.Set
	given prometheus.Counter
	log   *slog.Logger
}

func (s *snapshots) get(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), redisTimeout)
	defer cancel()
	v, ok := stream.View(ctx, c, s.views, s.log)
	if !ok {
		return
	}
	i := slices.IndexFunc(v.Widgets, func(w wire.WidgetView) bool { return w.ID == c.Param("wid") })
	if i < 0 {
		httpapi.Fail(c, http.StatusNotFound, "the dashboard has no such widget")
		return
	}
	r, st, detail, err := s.feeds.Current(ctx, &v.Widgets[i])
	if err != nil {
		stream.Unreadable(c, s.log, "results", err)
		return
	}
	s.given.Inc()
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, newSnapshotBody(r, st, detail))
}

// newSnapshotBody withholds the values of what is stale or limited.
func newSnapshotBody(r *wire.Result, st wire.State, limited string) snapshotBody {
	b := snapshotBody{State: st, Series: []wire.SeriesValue{}}
	if st == wire.StateLimited {
		b.Detail = limited
	}
	if r == nil {
		return b
	}
	b.WindowStart, b.WindowEnd, b.NewestEvent, b.Complete = &r.WindowStart, &r.WindowEnd, r.NewestEvent, r.Complete
	if st != wire.StateStale && st != wire.StateLimited && r.Series != nil {
		b.Series, b.Truncated, b.Error = r.Series, r.Truncated, r.Error
	}
	return b
}
