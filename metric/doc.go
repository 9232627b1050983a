// Package metric is the domain of Pulseboard: events, tags, queries and their
// metric keys, results, and the JSON forms in which they cross a wire. It
// imports nothing of ours; services meet only here, in results and in registry.
package metric
