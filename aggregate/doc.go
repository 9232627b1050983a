// Package aggregate is the arithmetic of sliding windows: accumulators, tables
// of slices, the series store and segment trees. It is plain Go, knows nothing
// of Beam, and imports nothing of ours.
//
// Event time is cut into slices of equal length; a slice is named by its index
// (epoch milliseconds / slice length, rounded down), a window is a half-open
// range of slices. Every window is a merge of the accumulators of its slices:
// nothing is ever subtracted, so that nothing drifts.
package aggregate
