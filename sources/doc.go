// Package sources reads a Kafka topic into a Beam pipeline. A reader shard is a key,
// its position is state, and a timer wakes it.
//
//	ReadFn (Beam)  ──▶  reader (one per process, run and shard)
//	                      ├─ fetch goroutine of partition 0 ─▶ queue ─┐
//	                      ├─ fetch goroutine of partition 1 ─▶ queue ─┼─▶ drain, inside OnTimer
//	                      └─ discovery of new partitions              ┘
//
// The fetch goroutines read and decode ahead of Beam; drain, called from
// OnTimer only, gives each record its pipeline time, keeps partitions
// together and computes the watermark.
package sources
