// Package direct runs graphs on Beam's direct runner, in this process. It has no state and no timers and takes
// only input that ends, so it does the textbook form and not the job.
package direct

import (
	"context"
	"errors"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // Deprecated for jobs that grow beyond it. The textbook form is bounded.

	"pulseboard/internal/conf"
	"pulseboard/pipeline"
)

// Runner is pipeline.InProcess.
type Runner struct{}

// New returns one.
func New() Runner { return Runner{} }

// Name is the value of --runner.
func (Runner) Name() string { return "direct" }

// About is for --help.
func (Runner) About() string { return "bounded reads with --reference" }

// Flags adds none.
func (Runner) Flags(*conf.Flags) {}

// KeyGroups is one, which the textbook form does not use.
func (Runner) KeyGroups() int { return 1 }

// Run refuses the job.
func (Runner) Run(context.Context, pipeline.Job) error {
	return errors.New("--runner direct does only bounded reads: add --reference, or choose another runner")
}

// OnlyBounded is true.
func (Runner) OnlyBounded() bool { return true }

// Execute runs a graph and waits for its end.
func (Runner) Execute(ctx context.Context, p *beam.Pipeline) error {
	_, err := direct.Execute(ctx, p)
	return err
}
