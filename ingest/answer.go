package ingest

import (
	"slices"

	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/wire"
)

// How many rejected events are named with their reason.
const maxDetails = 100

// answer says what became of each event: accepted + rejected = events sent.
type answer struct {
	Accepted       int                 `json:"accepted"`
	Rejected       int                 `json:"rejected"`
	Errors         []wire.IndexedFault `json:"errors"`
	RejectedRanges [][2]int            `json:"rejected_ranges"`
	// The part of RejectedRanges that may be stored or not.
	NotAcknowledgedRanges [][2]int  `json:"not_acknowledged_ranges,omitempty"`
	Warnings              []warning `json:"warnings,omitempty"`
}

// problem is a problem document with the answer's members added.
type problem struct {
	service.Problem
	*answer

	Errors []wire.IndexedFault `json:"errors"` // Both have some: the answer's count.
}

// verdicts gathers the faults of a request's events.
type verdicts struct {
	faults  []wire.IndexedFault
	unknown []int // Indexes of events that were not acknowledged.
}

func (v *verdicts) reject(index int, f metric.Fault) {
	v.faults = append(v.faults, wire.IndexedFault{Index: index, Fault: f})
}

// miss rejects the events of a record that Kafka did not acknowledge.
func (v *verdicts) miss(r *record) {
	for _, i := range r.events {
		v.reject(i, metric.Fault{Code: metric.CodeNotAcknowledged, Detail: "it may be stored or not: " + r.err.Error()})
	}
	v.unknown = append(v.unknown, r.events...)
}

// answer is that of a request of n events.
func (v *verdicts) answer(n int) *answer {
	slices.SortFunc(v.faults, func(a, b wire.IndexedFault) int { return a.Index - b.Index })
	a := &answer{Accepted: n - len(v.faults), Rejected: len(v.faults)}
	a.Errors = append([]wire.IndexedFault{}, v.faults[:min(len(v.faults), maxDetails)]...) // Not null.
	indexes := make([]int, 0, len(v.faults))
	for _, f := range v.faults {
		indexes = append(indexes, f.Index)
	}
	slices.Sort(v.unknown)
	a.RejectedRanges = ranges(indexes)
	if len(v.unknown) > 0 {
		a.NotAcknowledgedRanges = ranges(v.unknown)
	}
	return a
}

// ranges joins ascending numbers that follow each other: 3 7 8 9 → [3,3] [7,9].
func ranges(sorted []int) [][2]int {
	out := [][2]int{}
	for _, i := range sorted {
		if n := len(out); n > 0 && out[n-1][1] == i-1 {
			out[n-1][1] = i
		} else {
			out = append(out, [2]int{i, i})
		}
	}
	return out
}
