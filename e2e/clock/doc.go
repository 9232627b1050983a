// Package clock sets the clock of a whole pulseboard, forth and back, and lets it sleep,
// and compares every result with what was sent (docs/adr/0025-a-clock-that-is-set.md).
package clock
