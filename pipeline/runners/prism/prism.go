// Package prism runs the job on Beam's Prism, in this process: for one machine. State lives as long as the
// process does; after a restart the windows in use are rebuilt by reading Kafka again (docs/adr/0001).
package prism

import (
	"context"
	"runtime"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/internal/prism"
	"pulseboard/pipeline"
)

// Name is the value of --runner.
const Name = "prism"

// Run runs the job until ctx ends or the job fails: any error of a DoFn ends a job on Prism.
func Run(ctx context.Context, c pipeline.Config) error {
	return pipeline.Run(ctx, c, Traits, Execute)
}

// Traits is what the graph must know of Prism. Its timers are set at the end of their slices: a millisecond
// before, Prism overtakes the panes of the slice. Several shards gain little, since each partition is
// fetched and decoded by itself.
func Traits(partitions int) pipeline.Traits {
	return pipeline.Traits{Name: Name, Shards: max(1, min(runtime.GOMAXPROCS(0)/2, 4, partitions))}
}

// Execute runs a graph and waits for its end. It goes on when ctx has ended, since Prism panics at times when it
// is torn down in the middle: the caller ends the process.
func Execute(ctx context.Context, p *beam.Pipeline) error {
	_, err := prism.Execute(context.WithoutCancel(ctx), p)
	return err
}
