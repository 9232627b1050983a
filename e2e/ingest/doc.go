// Package ingest kills the producers' side part by part, under load: the ingest
// node, the broker and the client itself. What a client was told to be stored
// must be counted once, in every window (docs/ingest.md).
package ingest
