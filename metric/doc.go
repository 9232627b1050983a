// Package metric is the domain of Pulseboard: events and what bounds them, tags,
// filters, queries and the metric keys that name them. Keys are canonical: two queries
// that ask for the same have the same key, which is the name of their results
// everywhere. How any of it is written as JSON is package wire's.
package metric
