// Package ingest takes events over HTTP and answers when Kafka has them:
// POST /ingest of docs/protocol.md, and the line protocol of InfluxDB.
//
//		body ──format──▶ events ──by metric──▶ records ──murmur2──▶ partition queues ──by leader──▶ requests, acks=all ──▶ Kafka
//		  └ verdicts ◀──────────────────────────────────────────────── acknowledged or not ◀──────────────┘
//
//	  - A format is one file: what of a head it takes, how a body becomes events, and
//	    how it is answered. All else is the same for all (format.go).
//	  - A partition is in one produce request at a time, so its order is that of
//	    its queue, and a leader gets what waits for all its partitions together. A
//	    lone event does not wait, and under load the requests grow by themselves. A
//	    partition whose records failed is tried alone until they are decided.
//	  - What is in memory is bounded by a budget of bytes: once it is used up,
//	    requests are answered with 429.
//	  - A record is stamped once, on arrival. Retries send the same bytes with the
//	    same header id, by which the pipeline drops a second copy.
//
// Records of topics of others are read by package bridge: each is to it what a
// request is to HTTP, and its place its Idempotency-Key.
// StatsD, which has no answers, is taken by package statsd and goes the same way.
package ingest
