package configsvc

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/service"
)

// Catalogue knows the metrics that arrive.
type Catalogue interface {
	// Metrics returns at most limit metrics whose name contains text, in any
	// case, ordered by name, beginning after one; ok is false as long as
	// nothing is known.
	Metrics(text, after string, limit int) (found []Metric, ok bool)
	// Metric returns one.
	Metric(name string) (m Metric, ok bool)
}

// unknown is the catalogue of a service that has none.
type unknown struct{}

func (unknown) Metrics(string, string, int) ([]Metric, bool) { return nil, false }
func (unknown) Metric(string) (Metric, bool)                 { return Metric{}, false }

// ListMetrics answers GET /metrics/catalog. The cursor is the last name, after
// a mark that keeps an empty one apart from none.
func (a api) ListMetrics(c *gin.Context, params ListMetricsParams) {
	size, ok := pageSize(c, params.Limit)
	if !ok {
		return
	}
	after, ok := strings.CutPrefix(value(params.Cursor), cursorMark)
	if !ok && after != "" {
		failCursor(c)
		return
	}
	found, ok := a.metrics.Metrics(value(params.Query), after, size+1)
	if !ok {
		c.Header("Retry-After", "2")
		fail(c, service.NewProblem(http.StatusServiceUnavailable, "the catalogue of metrics has not been read from Redis yet: try again in a moment; if it stays so, check that Redis runs"))
		return
	}
	p := MetricPage{Metrics: found}
	if len(found) > size {
		p.Metrics = found[:size]
		next := cursorMark + found[size-1].Name
		p.Next = &next
	}
	if p.Metrics == nil {
		p.Metrics = []Metric{}
	}
	c.Header("Cache-Control", "no-cache")
	c.JSON(http.StatusOK, p)
}

const cursorMark = "after:"
