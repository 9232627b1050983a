package transforms

import (
	"cmp"
	"slices"
	"strings"

	"pulseboard/aggregate"
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

// add extracts the value of one group.
func (w *windowValues) add(q *query, group string, a *aggregate.Acc) {
	v := groupValue{group: group, count: a.Count}
	v.x, v.ok = q.extract(a)
	if a.More != nil && q.needs&aggregate.NeedGrowth != 0 && !q.fromZero {
		w.unknownStarts += a.More.Growth.Unknown
	}
	if q.needs&aggregate.NeedSketch != 0 {
		w.error = max(w.error, a.Error())
	}
	if a.Count > 0 {
		if w.count == 0 || a.Newest > w.newest {
			w.newest = a.Newest
		}
		w.count += a.Count
		w.lacking = w.lacking || !a.Has(q.needs)
	}
	if w.truncated > 0 && v.rank(&w.lowest) > 0 {
		w.truncated++ // Most groups are beyond those that were kept: they cost one comparison.
		return
	}
	if v.ok && q.bins != nil {
		v.bins = q.bins(a)
	}
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
