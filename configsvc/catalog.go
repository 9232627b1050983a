package configsvc

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"pulseboard/catalog"
	"pulseboard/internal/httpapi"
)

// Catalog holds the metrics that arrive. A *catalog.Copy is one.
type Catalog interface {
	// Loaded reports whether it has been read from Redis.
	Loaded() bool
	Search(text string, limit int, cursor string) (catalog.Page, error)
	Metric(name string) (catalog.Entry, bool)
}

// unknown is the catalog of a service that has none.
type unknown struct{}

func (unknown) Loaded() bool                                     { return false }
func (unknown) Search(string, int, string) (catalog.Page, error) { return catalog.Page{}, nil }
func (unknown) Metric(string) (catalog.Entry, bool)              { return catalog.Entry{}, false }

// ListMetrics answers GET /metrics/catalog.
func (a api) ListMetrics(c *gin.Context, params ListMetricsParams) {
	size, ok := pageSize(c, params.Limit)
	if !ok || !short(c, "cursor", params.Cursor, maxCursor) || !short(c, "query", params.Query, maxSearch) {
		return
	}
	if !a.metrics.Loaded() {
		c.Header("Retry-After", "2")
		httpapi.Fail(c, http.StatusServiceUnavailable, "the catalog of metrics has not been read from Redis yet: try again in a moment; if it stays so, check that Redis runs")
		return
	}
	found, err := a.metrics.Search(value(params.Query), size, value(params.Cursor))
	if errors.Is(err, catalog.ErrCursor) {
		failCursor(c)
		return
	}
	if err != nil {
		httpapi.Fail(c, http.StatusBadRequest, err.Error())
		return
	}
	p := MetricPage{Metrics: make([]Metric, 0, len(found.Entries)), Total: found.Total}
	for _, e := range found.Entries {
		p.Metrics = append(p.Metrics, newMetric(e))
	}
	if found.Next != "" {
		p.Next = &found.Next
	}
	c.Header("Cache-Control", "no-cache")
	c.JSON(http.StatusOK, p)
}

func newMetric(e catalog.Entry) Metric {
	m := Metric{
		Name: e.Metric, Series: e.Series, Overflow: e.Overflow, Tags: make([]MetricTag, 0, len(e.Tags)), MoreTags: e.MoreTags,
		Kinds: make([]MetricKinds, 0, len(e.Kinds)), Units: append([]string{}, e.Units...), Help: append([]string{}, e.Help...), ArrivalSeconds: e.Arrival,
		LastValue: e.LastMean, LastEvent: time.UnixMilli(e.LastEvent).UTC(), EventsLastMinute: e.LastMinute, Stale: e.Stale,
	}
	for _, kind := range e.Kinds {
		m.Kinds = append(m.Kinds, MetricKinds(kind))
	}
	for _, t := range e.Tags {
		if t.Values == nil {
			t.Values = []string{}
		}
		m.Tags = append(m.Tags, MetricTag{Key: t.Key, Values: t.Values, More: t.More})
	}
	return m
}
