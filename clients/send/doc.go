// Package send sends events from scripts: one, a file of them, or what comes on standard
// input, to POST /ingest or to /api/v2/write.
//
//	text ─Scan▶ events, each with the line it begins in ─▶ batches ─Idempotency-Key, until answered─▶ ingest
//	                                                                     └▶ what was refused, by line
package send
