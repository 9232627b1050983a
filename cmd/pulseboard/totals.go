package main

import (
	"github.com/prometheus/client_golang/prometheus"
)

// totals adds up counters by name.
func totals(g prometheus.Gatherer, names map[string]string) (map[string]float64, error) {
	families, err := g.Gather()
	if err != nil {
		return nil, err
	}
	out := make(map[string]float64, len(names))
	for _, f := range families {
		for label, name := range names {
			if f.GetName() != name {
				continue
			}
			for _, m := range f.GetMetric() {
				out[label] += m.GetCounter().GetValue()
			}
		}
	}
	return out, nil
}
