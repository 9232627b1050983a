// Package sources reads a Kafka topic into a Beam pipeline with a native
// splittable DoFn.
//
//	ReadFn (Beam)  ──▶  reader (one per process, run and shard)
//	                      ├─ fetch goroutine of partition 0 ─▶ queue ─┐
//	                      ├─ fetch goroutine of partition 1 ─▶ queue ─┼─▶ drain, inside ProcessElement
//	                      └─ discovery of new partitions              ┘
//
// The fetch goroutines read and decode ahead of Beam; drain, called from
// ProcessElement only, gives each record its pipeline time, keeps partitions
// together and computes the watermark.
package sources
