package metric

import (
	"fmt"
	"slices"
	"strings"
)

// Aggregation names what is computed over a window.
type Aggregation string

// The aggregations that are served.
const (
	Sum   Aggregation = "sum"
	Avg   Aggregation = "avg"
	Max   Aggregation = "max"
	Min   Aggregation = "min"
	Count Aggregation = "count"
)

// Aggregations returns all aggregations that are served, in the order in which they are shown to people.
func Aggregations() []Aggregation { return []Aggregation{Sum, Avg, Max, Min, Count} }

// Validate says which aggregations there are when a is none of them.
func (a Aggregation) Validate() error {
	if slices.Contains(Aggregations(), a) {
		return nil
	}
	names := make([]string, 0, 5)
	for _, x := range Aggregations() {
		names = append(names, string(x))
	}
	return fmt.Errorf("unknown aggregation %q: use one of %s", string(a), strings.Join(names, ", "))
}
