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

// aggregation returns what computes a valid one.
func aggregation(a metric.Aggregation) aggregate.Aggregation {
	if of, outOf, ok := a.Percentile(); ok {
		return aggregate.Aggregation{Name: string(a), Extract: aggregate.Percentile(of, outOf), Needs: aggregate.NeedSketch}
	}
	named, _ := aggregate.Named(string(a))
	return named
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
	asked := aggregation(a)
	value := func(p Part) float64 {
		if x, ok := asked.Extract(&p.Acc.Acc); ok {
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
		v := wire.SeriesValue{Tags: tags, Value: wire.Finite(value(p)), Count: p.Acc.Acc.Count}
		if asked.Bins != nil && v.Value != nil {
			v.Value, v.Bins = nil, wire.NewBins(asked.Bins(&p.Acc.Acc))
		}
		values = append(values, v)
		_, _ = fmt.Fprintf(names, "%d:%s", len(p.Group), p.Group) // A hash takes everything.
	}
	return values, truncated, strconv.FormatUint(names.Sum64(), 36)
}
