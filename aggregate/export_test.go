package aggregate

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
