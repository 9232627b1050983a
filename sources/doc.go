// Package sources reads a Kafka topic into a Beam pipeline. A reader shard is a key: its
// position is state, and a timer calls it again and again.
//
//	ReadFn (Beam) ─▶ reader: one per process, run and shard
//	                  ├─ fetcher of partition 0 ─▶ queue ─▶ partition 0 ─┐
//	                  ├─ fetcher of partition 1 ─▶ queue ─▶ partition 1 ─┼─▶ alignment ─▶ readLoop, called by OnTimer
//	                  └─ discovery of partitions ────────────────────────┘
//
// Fetchers are goroutines that read and decode ahead of Beam. The read loop emits what they have queued, gives each
// record its pipeline time and computes the watermark and the position. The parts know only those below them:
//
//	read.go, bounded.go   the side that faces Beam: DoFns, state, timers
//	reader.go             the goroutines and the read loop of a shard, kept for the process
//	readloop.go           one call: what is emitted, the watermark, the position
//	alignment.go          pipeline time of a shard, its partitions within a maximum drift
//	lead.go               how far the source may be ahead of the key groups
//	partition.go          pipeline time of a partition, and where it came into each slice
//	discovery.go          which partitions, and where a read begins
//	fetcher.go            a partition's loop: pauses after faults, the queue, how much may be fetched and not emitted
//	idleness.go           whether a partition has nothing more, and how long a broker may wait
//	scanner.go            one fetch: which records count, when and where
//	duplicates.go, transactions.go, logclock.go, skyline.go
//	                      which records were there before, are committed, have a timestamp that counts
//	seenids.go            the memory of ids
//	log.go                a partition's log, which brokerlog.go, broker.go and batches.go read from Kafka
package sources
