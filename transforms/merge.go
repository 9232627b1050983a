package transforms

import (
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window/trigger"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/aggregate"
)

// MergeFn merges partials. Merging is commutative and associative; an input is
// not used again by the runner, so that its rows can be taken over.
type MergeFn struct{}

func init() {
	register.Combiner1[Partial](&MergeFn{})
}

// CreateAccumulator is called by the SDK, like the methods below.
func (*MergeFn) CreateAccumulator() Partial { return Partial{Table: make(aggregate.Table)} }

// AddInput merges one partial.
func (f *MergeFn) AddInput(acc, p Partial) Partial { return f.MergeAccumulators(acc, p) }

// MergeAccumulators merges two.
func (*MergeFn) MergeAccumulators(a, b Partial) Partial {
	a.CoveredSince = max(a.CoveredSince, b.CoveredSince)
	a.Table.Merge(b.Table)
	a.Said = a.Said.merge(b.Said)
	a.run, a.encoded = b.run, nil
	return a
}

// MergeSlices makes exactly one partial of each key group and slice of pipeline
// time, once the watermark has passed the end of the slice.
//
// Nothing comes after that: the source emits nothing behind its watermark. Should a
// runner let the watermark overtake elements all the same, they are partials of
// their own for as long as late says, and counted there (keyGroup.add); without
// it Beam would drop them without a word.
func MergeSlices(s beam.Scope, slice, late time.Duration, partials beam.PCollection) beam.PCollection {
	s = s.Scope("MergeSlices")
	// PCollection<KV<KeyGroup, Partial>>, windowed.
	windowed := beam.WindowInto(s, window.NewFixedWindows(slice), partials,
		beam.Trigger(trigger.Default()), beam.AllowedLateness(late), beam.PanesDiscard())
	merged := beam.CombinePerKey(s, &MergeFn{}, windowed)
	// PCollection<KV<KeyGroup, Partial>>, in the global window, at the last millisecond of the slice.
	return beam.WindowInto(s, window.NewGlobalWindows(), merged)
}
