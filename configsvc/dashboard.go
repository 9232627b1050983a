package configsvc

import (
	"math"

	"pulseboard/metric"
)

// Query returns what the widget asks the pipeline for.
func (w Widget) Query() metric.Query {
	return metric.Query{
		Metric: w.Metric, Aggregation: w.Aggregation, WindowSeconds: w.WindowSeconds,
		DelaySeconds: w.DelaySeconds, Filter: w.Filter, GroupBy: w.GroupBy,
	}.Normal()
}

// RefreshMs returns the refresh interval in milliseconds.
func (w Widget) RefreshMs() int64 { return int64(math.Round(w.RefreshSeconds * 1000)) }
