// Package faults kills what the pipeline on Flink runs on, part by part, under
// load, and compares every result with the log (docs/reliability.md).
package faults
