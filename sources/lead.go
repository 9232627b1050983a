package sources

import (
	"math"

	"pulseboard/job"
)

// lead is how far the source may be ahead of the key groups of its process, by backpressure.
type lead struct {
	progress *job.Progress
	options  *Options
	origin   int64 // The pipeline time at which the key groups were started, epoch ms.
}

// limit is the pipeline time up to which may be read: not too far ahead of the slowest key group, since
// all that lies between is held in memory. With too many bytes of it, the limit is the first timer: the source
// must come that far, or the timer, which frees them, would never fire.
func (l *lead) limit() int64 {
	if l.options.MaxLeadMs == 0 { // The runner holds the source back.
		return math.MaxInt64
	}
	slowest, ok := l.progress.Slowest()
	if !ok {
		slowest = l.origin
	}
	limit := slowest + l.options.MaxLeadMs
	if most := l.options.PartialBytes; most > 0 && l.progress.UnderWay() > most {
		due, ok := l.progress.Due()
		if !ok {
			due = l.origin + 2*l.options.SliceMs // The first partial aggregates set the first timers.
		}
		limit = min(limit, due)
	}
	return limit
}
