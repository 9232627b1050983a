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

// aggregation returns what computes that of a valid query.
func aggregation(q metric.Query) aggregate.Aggregation {
	if of, outOf, ok := q.Aggregation.Percentile(); ok {
		return aggregate.Aggregation{Name: string(q.Aggregation), Extract: aggregate.Percentile(of, outOf), Needs: aggregate.NeedSketch}
	}
	named, _ := aggregate.Named(string(q.Aggregation))
	named.Extract = named.Over(q.WindowSeconds, q.First == metric.FirstCounts)
	return named
}

// windowValues is one window of one query, by group.
type windowValues struct {
	groups        []groupAcc
	newest        int64 // The event time of the newest event, epoch ms.
	unknownStarts int64
	error         float64
}

// groupAcc is one resulting series.
type groupAcc struct {
	group string
	acc   aggregate.Acc
}

func (w *windowValues) add(group string, a aggregate.Acc) {
	w.groups = append(w.groups, groupAcc{group, a})
	w.newest = max(w.newest, a.Newest)
	w.unknownStarts += a.More.Growth.Unknown
	w.error = max(w.error, a.Error())
}

// series returns the values in the order of the groups' tags, at most wire.MaxSeries: those with the highest
// values. truncated is how many were left out; the version changes when the list of series does.
func (w *windowValues) series(q metric.Query) (values []wire.SeriesValue, truncated int, version string) {
	asked := aggregation(q)
	value := func(g groupAcc) float64 {
		if x, ok := asked.Extract(&g.acc); ok {
			return x
		}
		return math.NaN()
	}
	byTags := func(a, b groupAcc) int { return strings.Compare(a.group, b.group) }
	if truncated = max(0, len(w.groups)-wire.MaxSeries); truncated > 0 {
		slices.SortFunc(w.groups, func(a, b groupAcc) int { return cmp.Or(cmp.Compare(value(b), value(a)), byTags(a, b)) })
		w.groups = w.groups[:wire.MaxSeries]
	}
	slices.SortFunc(w.groups, byTags)
	names := fnv.New64a()
	for _, g := range w.groups {
		tags, _ := metric.ParseTagsKey(g.group) // AppendKey has written it.
		if tags == nil {
			tags = metric.Tags{}
		}
		v := wire.SeriesValue{Tags: tags, Value: wire.Finite(value(g)), Count: g.acc.Count}
		if asked.Bins != nil && v.Value != nil {
			v.Value, v.Bins = nil, wire.NewBins(asked.Bins(&g.acc))
		}
		values = append(values, v)
		_, _ = fmt.Fprintf(names, "%d:%s", len(g.group), g.group) // A hash takes everything.
	}
	return values, truncated, strconv.FormatUint(names.Sum64(), 36)
}
