package metric_test

import (
	"fmt"

	"pulseboard/metric"
)

// A metric key is the text of a query: equal queries have equal keys, and each key is read back.
func ExampleParseKey() {
	q, err := metric.ParseKey("http.latency:p95:60s by (region)")
	fmt.Println(q.Metric, q.Aggregation, q.WindowSeconds, q.GroupBy, err)
	fmt.Println(q.Key())
	_, err = metric.ParseKey("http.latency:median:60s")
	fmt.Println(err)
	// Output:
	// http.latency p95 60 [region] <nil>
	// http.latency:p95:60s by (region)
	// not a metric key: "http.latency:median:60s": unknown aggregation "median": use one of sum, avg, max, min, count, stddev, histogram, increase, rate, increase_avg, rate_avg, last, last_sum, last_avg, last_min, last_max, last_count, or a percentile such as p95
}
