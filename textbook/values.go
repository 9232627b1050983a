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
	a := ofValues(q)
	if _, ok := q.OfBuckets(); ok {
		a.Needs |= aggregate.NeedGrowth
	}
	return a
}

func ofValues(q metric.Query) aggregate.Aggregation {
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

// value is what a window shows of one resulting series.
type value struct {
	group string
	x     float64 // NaN = nothing.
	bins  []aggregate.Bin
	count int64
}

// values computes the aggregation of each group.
func (w *windowValues) values(q metric.Query) (all []value) {
	asked := aggregation(q)
	for i := range w.groups {
		all = append(all, extract(asked, w.groups[i].group, &w.groups[i].acc))
	}
	return all
}

func extract(asked aggregate.Aggregation, group string, acc *aggregate.Acc) value {
	v := value{group: group, x: math.NaN(), count: acc.Count}
	if x, ok := asked.Extract(acc); ok {
		v.x = x
		if asked.Bins != nil {
			v.bins = asked.Bins(acc)
		}
	}
	return v
}

// ofBuckets puts the buckets of classic histograms together; groups are those of the inner query. What is of no counter counts by its values.
func (w *windowValues) ofBuckets(q metric.Query) (all []value) {
	type histogram struct {
		buckets aggregate.Buckets
		values  aggregate.Acc
	}
	histograms := make(map[string]*histogram)
	for i := range w.groups {
		tags, _ := metric.ParseTagsKey(w.groups[i].group) // AppendKey has written it.
		outer, bound, ok := tags.CutBound()
		key := string(outer.AppendKey(nil))
		if histograms[key] == nil {
			histograms[key] = new(histogram)
		}
		h, acc := histograms[key], &w.groups[i].acc
		if !ok || !h.buckets.Counted(bound, acc) {
			h.values.Merge(acc)
		}
	}
	asked := aggregation(q)
	for group, h := range histograms {
		total, ok := h.buckets.Total()
		v := value{group: group, x: math.NaN(), count: int64(math.Round(total))}
		of, outOf, percentile := q.Aggregation.Percentile()
		switch {
		case h.buckets.Len() == 0:
			v = extract(asked, group, &h.values)
		case percentile:
			if x, within, ok := h.buckets.Percentile(of, outOf); ok {
				v.x, w.error = x, max(w.error, within)
			}
		case ok && total > 0:
			v.x, v.bins = total, h.buckets.Bins()
		}
		all = append(all, v)
	}
	return all
}

// series returns the values in the order of the groups' tags, at most wire.MaxSeries: those with the highest
// values. truncated is how many were left out; the version changes when the list of series does.
func (w *windowValues) series(q metric.Query) (values []wire.SeriesValue, truncated int, version string) {
	all := w.values(q)
	if _, ok := q.OfBuckets(); ok {
		all = w.ofBuckets(q)
	}
	byTags := func(a, b value) int { return strings.Compare(a.group, b.group) }
	if truncated = max(0, len(all)-wire.MaxSeries); truncated > 0 {
		slices.SortFunc(all, func(a, b value) int { return cmp.Or(cmp.Compare(b.x, a.x), byTags(a, b)) })
		all = all[:wire.MaxSeries]
	}
	slices.SortFunc(all, byTags)
	names := fnv.New64a()
	for _, g := range all {
		tags, _ := metric.ParseTagsKey(g.group) // AppendKey has written it.
		if tags == nil {
			tags = metric.Tags{}
		}
		v := wire.SeriesValue{Tags: tags, Value: wire.Finite(g.x), Count: g.count}
		if g.bins != nil {
			v.Value, v.Bins = nil, wire.NewBins(g.bins)
		}
		values = append(values, v)
		_, _ = fmt.Fprintf(names, "%d:%s", len(g.group), g.group) // A hash takes everything.
	}
	return values, truncated, strconv.FormatUint(names.Sum64(), 36)
}
