// Package ingest takes events over HTTP and answers when Kafka has them:
// POST /ingest of protocol.md.
//
//		body ──decode──▶ events ──by metric──▶ records ──murmur2──▶ partition queues ──Produce, acks=all──▶ Kafka
//		  └ verdicts ◀───────────────────────────────────────────────── acknowledged or not ◀──────────────┘
//
//	  - Each partition has one produce request under way; what arrives meanwhile
//	    goes into the next one. So a lone event does not wait, and under load the
//	    requests grow by themselves.
//	  - What is in memory is bounded by a budget of bytes: who comes when it is
//	    used up is told to come back (429).
//	  - A record is stamped once, on arrival. Retries send the same bytes with the
//	    same header id, by which the pipeline drops a second copy.
package ingest
