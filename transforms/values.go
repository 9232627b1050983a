package transforms

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"pulseboard/aggregate"
	"pulseboard/metric"
	"pulseboard/wire"
)

// windowValues is the values of one window of one query, by group.
type windowValues struct {
	values    []groupValue
	newest    int64 // Event time, over all groups, also those that were left out.
	count     int64
	lacking   bool // Events that came before what the query needs was collected.
	truncated int
	lowest    groupValue // Of those that were kept, once some were left out.

	histograms map[string]*histogram // Of a query of buckets, by group, until finish.

	unknownStarts int64   // Of counters, over all groups.
	error         float64 // The largest of any group, see aggregate.Acc.Error.
}

type groupValue struct {
	group string          // The key of its tags.
	x     float64         // Of a distribution, how many values it has.
	bins  []aggregate.Bin // Nil = it is a number.
	ok    bool            // There is a value.
	count int64
}

// How many values are kept, as a multiple of those that leave, before the lowest are left out.
const pruneAt = 4 * wire.MaxSeries

// histogram is a group of a query of buckets: what its counters of buckets have counted, and the values that are none.
type histogram struct {
	buckets aggregate.Buckets
	values  aggregate.Acc
}

// take takes one group of the selector of q.
func (w *windowValues) take(q *query, group string, a *aggregate.Acc) {
	if q.buckets {
		w.bucket(q, group, a)
		return
	}
	w.add(q, group, a)
}

// bucket adds one group of the inner query of q.
func (w *windowValues) bucket(q *query, group string, a *aggregate.Acc) {
	tags, err := metric.ParseTagsKey(group)
	if err != nil {
		return // AppendKey has written it.
	}
	outer, bound, ok := tags.CutBound()
	key := string(outer.AppendKey(nil))
	h := w.histograms[key]
	if h == nil {
		if w.histograms == nil {
			w.histograms = make(map[string]*histogram)
		}
		h = new(histogram)
		w.histograms[key] = h
	}
	if !ok || !h.buckets.Counted(bound, a) {
		h.values.Merge(a)
		return
	}
	w.note(a, aggregate.NeedGrowth, q)
}

// merge makes values of the groups of a query of buckets.
func (w *windowValues) merge(q *query) {
	for _, key := range slices.Sorted(maps.Keys(w.histograms)) {
		h := w.histograms[key]
		if h.buckets.Len() == 0 {
			w.add(q, key, &h.values)
			continue
		}
		total, _ := h.buckets.Total()
		v := groupValue{group: key, x: total, ok: total > 0, count: int64(math.Round(total))}
		if q.bins != nil {
			v.bins = h.buckets.Bins()
		} else {
			var within float64
			v.x, within, v.ok = h.buckets.Percentile(q.rank[0], q.rank[1])
			w.error = max(w.error, within)
		}
		w.keep(v)
	}
	w.histograms = nil
}

// add extracts the value of one group.
func (w *windowValues) add(q *query, group string, a *aggregate.Acc) {
	v := groupValue{group: group, count: a.Count}
	v.x, v.ok = q.extract(a)
	if q.needs&aggregate.NeedSketch != 0 {
		w.error = max(w.error, a.Error())
	}
	w.note(a, q.needs, q)
	if w.truncated > 0 && v.rank(&w.lowest) > 0 {
		w.truncated++ // Most groups are beyond those that were kept: they cost one comparison.
		return
	}
	if v.ok && q.bins != nil {
		v.bins = q.bins(a)
	}
	w.keep(v)
}

// note takes in what the window says of its events.
func (w *windowValues) note(a *aggregate.Acc, needs aggregate.Needs, q *query) {
	if a.More != nil && needs&aggregate.NeedGrowth != 0 && !q.fromZero {
		w.unknownStarts += a.More.Growth.Unknown
	}
	if a.Count > 0 {
		if w.count == 0 || a.Newest > w.newest {
			w.newest = a.Newest
		}
		w.count += a.Count
		w.lacking = w.lacking || !a.Has(needs)
	}
}

// keep adds a value.
func (w *windowValues) keep(v groupValue) {
	w.values = append(w.values, v)
	if len(w.values) >= pruneAt {
		w.prune()
	}
}

// rank orders groups: the highest values first, of distributions those with the most, absent ones last, ties by tags.
func (v *groupValue) rank(o *groupValue) int {
	switch {
	case v.ok != o.ok && v.ok:
		return -1
	case v.ok != o.ok:
		return 1
	case v.ok && cmp.Compare(v.x, o.x) != 0: // NaN has a place too, or ties would have none.
		return cmp.Compare(o.x, v.x)
	}
	return strings.Compare(v.group, o.group)
}

// prune keeps the first groups by their rank.
func (w *windowValues) prune() {
	extra := len(w.values) - wire.MaxSeries
	if extra <= 0 {
		return
	}
	slices.SortFunc(w.values, func(a, b groupValue) int { return a.rank(&b) })
	w.values = w.values[:wire.MaxSeries]
	w.lowest = w.values[wire.MaxSeries-1]
	w.truncated += extra
}

// finish leaves the top groups in the order of their tags, so that the list of
// series changes only when its members do.
func (w *windowValues) finish() {
	w.prune()
	slices.SortFunc(w.values, func(a, b groupValue) int { return strings.Compare(a.group, b.group) })
}
