// Package prometheus holds tests only: counters, gauges and points are told to a store of ours and to Prometheus' own
// storage, and the same windows are asked of both. Where the definitions agree the values are equal, and where they do
// not, a case shows by how much (docs/semantics.md, "Beside Prometheus").
//
// It is a module of its own, outside of ./..., so that nothing of ours depends on what it is compared with. Run it by
// make prometheus.
package prometheus
