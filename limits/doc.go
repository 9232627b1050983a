// Package limits keeps one editor from hurting the others (docs/adr/0017). A dashboard whose query has a million
// series would otherwise take the memory and time of the pipeline, and so the results of everybody. The package
// says what a query costs in three resources, what a dashboard, a metric and a token may have of each, and which
// queries are cut when they want more: those of whoever uses most. It is arithmetic and touches nothing: the
// pipeline measures and enforces, and says in a Report what it cut; the config service estimates by the same
// numbers before an edit is accepted.
package limits
