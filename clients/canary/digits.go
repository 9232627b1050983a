package canary

// Slots is how many seconds the window has: two bits of a sum for each, below
// the 53 that a float holds exactly.
const Slots = 25

// place returns the bits of a sum that are those of a slot, a second since the epoch.
func place(slot int64) int { return 2 * int(slot%Slots) }

// mark returns the value of the event of a slot.
func mark(slot int64) float64 { return float64(uint64(1) << place(slot)) }

// times returns how often the event of a slot is in a sum, at most 3.
func times(sum uint64, slot int64) int { return int(sum >> place(slot) & 3) }

// readSum returns a sum as what it is made of; ok is false when it is none of ours:
// somebody else sends events of this metric and instance.
func readSum(v float64) (sum uint64, ok bool) {
	if v < 0 || v >= 1<<(2*Slots) || v != float64(uint64(v)) {
		return 0, false
	}
	return uint64(v), true
}
