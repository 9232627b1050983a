// Package transforms turns decoded events into results:
//
//	PreAggregate  *Batch → KV<KeyGroup, Partial>   one table per bundle, key group and slice of pipeline time
//	MergeSlices   KV<KeyGroup, Partial> → same     FixedWindows(slice) + CombinePerKey: one per key group and slice
//	Slide         KV<KeyGroup, Partial> → Evaluation   keeps slices, evaluates the queries that are due
//
// Time here is pipeline time, which a partition never takes back, so Beam never
// sees late elements; event time lives inside the tables.
//
// DoFns are registered with beam.RegisterDoFn, not with package register's generic forms: those make a wrapper for every
// possible StartBundle and FinishBundle, which took the compiler a minute and 2.6 GB. A call by reflection costs some
// 300 ns, and elements here are batches and partials.
package transforms
