package transforms

import (
	"pulseboard/limits"
	"pulseboard/metric"
)

// Width is how wide the result of a query is in this process.
type Width struct {
	Size   limits.Size
	Known  bool // Else CountWidth finds it out.
	Series int  // Of the metric.
}

// Widths returns how wide queries are, as far as that is known without looking
// at each series: of selectors in use, and of metrics without series.
func (g *Groups) Widths(queries []metric.Query, of int) []Width {
	out := make([]Width, len(queries))
	byGroup := make(map[int64][]int)
	for i := range queries {
		id := KeyGroup(queries[i].Metric, of)
		byGroup[id] = append(byGroup[id], i)
		out[i].Known = true
	}
	for id, is := range byGroup {
		k := g.find(id)
		if k == nil {
			continue // It has no events, or another process has it.
		}
		k.mu.Lock()
		for _, i := range is {
			q := &queries[i]
			w := &out[i]
			w.Series = k.store.SeriesOf(q.Metric)
			inner, _ := q.OfBuckets() // Its trees are those of the buckets.
			w.Size.Groups, w.Size.KeyBytes, w.Known = k.store.Width(q.Metric, inner.Selector())
			w.Known = w.Known || w.Series == 0
		}
		k.mu.Unlock()
	}
	return out
}

// CountWidth looks at each series of the query's metric; the timers go on meanwhile.
func (g *Groups) CountWidth(q metric.Query, of int) Width {
	w := Width{Known: true}
	k := g.find(KeyGroup(q.Metric, of))
	if k == nil {
		return w
	}
	k.mu.Lock()
	tags := k.store.Tags(q.Metric)
	k.mu.Unlock()
	w.Series = len(tags)
	q, _ = q.OfBuckets()
	match := matcher(q.Normal())
	groups := make(map[string]struct{})
	bytes := 0
	for _, t := range tags {
		group, ok := match(t)
		if !ok {
			continue
		}
		if _, seen := groups[group]; !seen {
			groups[group] = struct{}{}
			bytes += len(group)
		}
	}
	w.Size = limits.Size{Groups: len(groups), KeyBytes: bytes / max(1, len(groups))}
	return w
}
