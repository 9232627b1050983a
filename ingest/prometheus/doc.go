// Package prometheus reads the bodies of Prometheus' remote write, 1.0 and 2.0 (protocol buffers, unpacked), as events.
//
// A sample is a point: it is known by its series and time, in whatever request it comes again. Samples of counters, and of whatever
// 1.0 sends, which does not say what it is, are cumulative, so that increase and rate can be asked of them; their values can be
// asked for all the same. A histogram with bounds of its own becomes the series that it would be as a classic one.
package prometheus
