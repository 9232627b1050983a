// Package otlp reads metrics of OpenTelemetry, the bodies of OTLP/HTTP in protocol buffers and in JSON, as events; docs/ingest.md says what
// becomes of each.
//
// A data point is one point or, where it is a histogram with bounds or a summary, several: it is known by its series and time, in whatever
// request it comes again. Its series are the name of the metric, its own attributes, and those of its resource that are chosen.
package otlp
