// Package limits says what queries cost, what a dashboard, a metric and a token
// may have of it, and which queries are cut when they want more, so that one
// editor cannot hurt the others (docs/adr/0017). It is arithmetic: the pipeline
// measures and enforces, the config service estimates and tells.
package limits
