package aggregate

import "math"

// SeriesTags returns the tags of all series that the store holds, by metric.
func (s *Store) SeriesTags() map[string][]string {
	out := make(map[string][]string)
	for name, m := range s.metrics {
		for tags := range m.series {
			out[name] = append(out[name], tags)
		}
	}
	return out
}

// Table returns everything that the store holds.
func (s *Store) Table() Table {
	t := Table{}
	for name, m := range s.metrics {
		for tags, sr := range m.series {
			key := append(SeriesKey(nil, name), tags...)
			sr.each(math.MinInt64/2, math.MaxInt64, func(slice int64, a *Acc) { t.acc(slice, key).Merge(a) })
		}
	}
	return t
}

// Len returns the number of groups.
func (sel *Selector) Len() int { return len(sel.groups) }

// Count returns the number of events in t.
func (t Table) Count() (n int64) {
	for _, row := range t {
		for _, a := range row {
			n += a.Count
		}
	}
	return n
}

// AllNeeds is the mask of everything that accumulators can hold by need.
const AllNeeds = Needs(1)<<needBits - 1
