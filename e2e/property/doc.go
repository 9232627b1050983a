// Package property holds a test only: the pipeline's own process on random
// events, queries and kills, against an oracle in plain Go that imports nothing
// of ours. Every history entry and every message is compared.
package property
