package textbook

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"

	"pulseboard/aggregate"
	"pulseboard/metric"
	"pulseboard/wire"
)

// extractor returns what computes a valid aggregation, and what that needs.
func extractor(a metric.Aggregation) (aggregate.Extract, aggregate.Needs) {
	if of, outOf, ok := a.Percentile(); ok {
		return aggregate.Percentile(of, outOf), aggregate.NeedSketch
	}
	named, _ := aggregate.Named(string(a))
	return named.Extract, named.Needs
}

// windowValues is one window of one query, by group.
type windowValues struct {
	groups []Part
	newest int64 // The event time of the newest event, epoch ms.
}

func (w *windowValues) add(p Part) {
	w.groups = append(w.groups, p)
	w.newest = max(w.newest, p.Acc.Acc.Newest)
}

// series returns the values in the order of the groups' tags, at most wire.MaxSeries: those with the highest
// values. truncated is how many were left out; the version changes when the list of series does.
func (w *windowValues) series(a metric.Aggregation) (values []wire.SeriesValue, truncated int, version string) {
	extract, _ := extractor(a)
	value := func(p Part) float64 {
		if x, ok := extract(&p.Acc.Acc); ok {
			return x
		}
		return math.NaN()
	}
	byTags := func(a, b Part) int { return strings.Compare(a.Group, b.Group) }
	if truncated = max(0, len(w.groups)-wire.MaxSeries); truncated > 0 {
		slices.SortFunc(w.groups, func(a, b Part) int { return cmp.Or(cmp.Compare(value(b), value(a)), byTags(a, b)) })
		w.groups = w.groups[:wire.MaxSeries]
	}
	slices.SortFunc(w.groups, byTags)
	names := fnv.New64a()
	for _, p := range w.groups {
		tags, _ := metric.ParseTagsKey(p.Group) // AppendKey has written it.
		if tags == nil {
			tags = metric.Tags{}
		}
		values = append(values, wire.SeriesValue{Tags: tags, Value: wire.Finite(value(p)), Count: p.Acc.Acc.Count})
		_, _ = fmt.Fprintf(names, "%d:%s", len(p.Group), p.Group) // A hash takes everything.
	}
	return values, truncated, strconv.FormatUint(names.Sum64(), 36)
}
