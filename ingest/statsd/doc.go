// Package statsd takes what clients of StatsD and DogStatsD send over UDP and TCP;
// docs/ingest.md, "StatsD", says what becomes of a line.
//
//		datagrams ─┐
//		           ├─▶ lines ─▶ events ─gathered, 200 ms at most─▶ Sink: records, Kafka
//		streams ───┘              └ held here alone: what gauges stand at, and sets of 10 s
//
//	  - The protocol has no answer, so whatever becomes of a line is counted: taken,
//	    refused, or dropped. What the kernel drops before it is read is counted too.
//	  - Events that wait for Kafka are bounded. Beyond them datagrams are dropped, the
//	    newest ones, and streams are not read.
//	  - An event's time is that of its arrival here, since the protocol has none.
//	  - What is held lives in memory alone, is bounded, and is lost with the process.
package statsd
