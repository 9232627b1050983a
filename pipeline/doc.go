// Package pipeline is the Beam job: events of Kafka become results of sliding windows in Redis.
//
// Build (build.go) is the whole graph on one page, with Config as its sizes:
//
//	Kafka
//	  │ sources.Read                    a key with a timer (ADR 0027): fetches, decodes, gives records their pipeline time
//	  ▼
//	PCollection<*sources.Batch>
//	  │ transforms.PreAggregate         decides whether an event counts; fused with the source
//	  ├──────────────────────────────▶ PCollection<DeadLetter> ─ sinks.WriteDeadLetters ─▶ Kafka
//	  ▼
//	PCollection<KV<int64, Partial>>      partial aggregates of a key group and slice
//	  │ transforms.MergeSlices          FixedWindows(slice) + CombinePerKey
//	  ▼
//	PCollection<KV<int64, Partial>>      one for each key group and slice
//	  │ transforms.Slide                keeps the slices in state; a looping timer evaluates the windows that are due
//	  ▼
//	PCollection<Evaluation>
//	  │ sinks.PublishRedis              histories, then messages
//	  ▼
//	Redis
//
// A metric belongs to a key group by its hash, so all that a query needs is in one key of Beam's state. Time in the
// graph is pipeline time, which follows the timestamps that brokers give to records (docs/semantics.md).
//
// Beside the graph, and here too, is what a run of the job needs in each process (run.go): the queries, which the
// governor takes from the registry and cuts to their budgets; the lease, by which one pipeline at a time writes
// results; where reading begins so that no window end is left out (resume.go); and the clock, which ends a run when it is set.
//
// Where the job runs is below runners, one folder a runner. The same windows as plain Beam, to learn from, are in
// package textbook.
package pipeline
