package metric

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"pulseboard/aggregate"
)

// Aggregation names what is computed over a window: one of Aggregations, or a
// percentile p0 to p100, such as p50 or p99.9.
type Aggregation string

// Some of the aggregations of aggregate.Aggregations, for code that needs a certain one.
const (
	Sum   Aggregation = "sum"
	Avg   Aggregation = "avg"
	Max   Aggregation = "max"
	Min   Aggregation = "min"
	Count Aggregation = "count"

	Histogram Aggregation = "histogram"
)

// Aggregations returns all aggregations but percentiles, in the order in which they are shown to people.
func Aggregations() []Aggregation {
	all := make([]Aggregation, 0, 8)
	for _, a := range aggregate.Aggregations() {
		all = append(all, Aggregation(a.Name))
	}
	return all
}

var errPercentile = errors.New("a percentile is p0 to p100, written with at most six decimals and without needless zeros, such as p50 or p99.9")

// Validate says which aggregations there are when a is none of them.
func (a Aggregation) Validate() error {
	if _, named := aggregate.Named(string(a)); named {
		return nil
	}
	if _, _, ok := a.Percentile(); ok {
		return nil
	}
	if len(a) > 1 && a[0] == 'p' && (a[1] >= '0' && a[1] <= '9' || a[1] == '.' || a[1] == '-') {
		return fmt.Errorf("unknown aggregation %q: %w", string(a), errPercentile)
	}
	return fmt.Errorf("unknown aggregation %q: %s", string(a), AggregationsForPeople())
}

// AggregationsForPeople is the list of them in the text of an error.
func AggregationsForPeople() string {
	names := make([]string, 0, 8)
	for _, a := range Aggregations() {
		names = append(names, string(a))
	}
	return "use one of " + strings.Join(names, ", ") + ", or a percentile such as p95"
}

// IsDistribution reports whether values are distributions, and not numbers.
func (a Aggregation) IsDistribution() bool {
	named, _ := aggregate.Named(string(a))
	return named.Bins != nil
}

// Grows reports whether values are by how much counters grew.
func (a Aggregation) Grows() bool {
	named, _ := aggregate.Named(string(a))
	return named.Needs&aggregate.NeedGrowth != 0
}

const maxDecimals = 6

// Percentile reads the number of a percentile as a fraction: p99.9 is 999 of
// 1000. Only one text of each number is accepted, so that equal queries have equal keys.
func (a Aggregation) Percentile() (of, outOf uint64, ok bool) {
	s, ok := strings.CutPrefix(string(a), "p")
	if !ok {
		return 0, 0, false
	}
	whole, decimals, point := strings.Cut(s, ".")
	switch {
	case whole == "" || len(whole) > 3 || len(whole) > 1 && whole[0] == '0',
		point && (decimals == "" || len(decimals) > maxDecimals || strings.HasSuffix(decimals, "0")),
		strings.Trim(whole+decimals, "0123456789") != "":
		return 0, 0, false
	}
	of, err := strconv.ParseUint(whole+decimals, 10, 64)
	outOf = 100
	for range decimals {
		outOf *= 10
	}
	return of, outOf, err == nil && of <= outOf
}
