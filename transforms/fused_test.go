package transforms_test

import (
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/internal/prism"
	"pulseboard/job"
	"pulseboard/metric"
	"pulseboard/sources"
	"pulseboard/transforms"
)

// oneBatch stands for the source.
func oneBatch(_ []byte, emit func(*sources.Batch)) {
	emit(&sources.Batch{Held: new(any), Records: []sources.Record{{Events: []metric.Event{{Metric: "m", Value: 1, Time: 1000}}}}})
}

func init() {
	register.Function2x0(oneBatch)
	register.Emitter1[*sources.Batch]()
}

// A batch crosses no border of a stage: a graph in which it would must fail, or every event were lost without a word.
func TestABatchThatIsNotFusedFails(t *testing.T) {
	beam.Init()
	j := job.Open(t.Name(), transforms.NewGroups(job.NewProgress(), transforms.Resume{}))
	defer j.Close() //nolint:errcheck // It holds nothing.
	p, s := beam.NewPipelineWithRoot()
	batches := beam.Reshuffle(s, beam.ParDo(s, oneBatch, beam.Impulse(s)))
	transforms.PreAggregate(s, transforms.PreAggregateFn{Run: t.Name(), SliceMs: 1000, KeyGroups: 1, Limits: metric.DefaultLimits()}, batches)
	if _, err := prism.Execute(t.Context(), p); err == nil || !strings.Contains(err.Error(), "must fuse the step") {
		t.Errorf("the pipeline ends with %v", err)
	}
}
