// Package results keeps results in Redis (docs/protocol.md, "Result"), so that a number on a page is the one
// that the pipeline has computed, however often either restarts. Each metric key has a history at each of its
// refresh intervals, a stream whose entries have their window end as id, and a Pub/Sub channel. The pipeline
// writes an entry, and announces it only when Redis took it; a gateway reads the history once and then listens.
// Beside them stand what guards them: a lease, since one pipeline writes at a time; a count of what each
// process has written, by which a Redis that lost some of it is noticed; and what was taken back after a clock
// had been set.
package results
