package aggregate

import (
	"maps"
	"slices"
)

// Width is how many resulting series a selector has, and how many bytes the tags
// of one of them take; ok is false when the selector is not in use.
func (s *Store) Width(metric, id string) (groups, keyBytes int, ok bool) {
	m := s.metrics[metric]
	if m == nil || m.selectors[id] == nil {
		return 0, 0, false
	}
	gs := m.selectors[id].groups
	for _, g := range gs[:min(len(gs), widthSample)] {
		keyBytes += len(g.key)
	}
	return len(gs), keyBytes / max(1, min(len(gs), widthSample)), true
}

const widthSample = 16

// SeriesOf returns how many series of a metric the store holds.
func (s *Store) SeriesOf(metric string) int {
	if m := s.metrics[metric]; m != nil {
		return len(m.series)
	}
	return 0
}

// Tags returns the tags of all series of a metric, in no order.
func (s *Store) Tags(metric string) []string {
	m := s.metrics[metric]
	if m == nil {
		return nil
	}
	return slices.Collect(maps.Keys(m.series))
}
