// Package results is how results lie in Redis: one stream per metric key and
// refresh interval as its history, one Pub/Sub channel per metric key
// (protocol.md, "Result"). The pipeline writes, gateways read.
package results
