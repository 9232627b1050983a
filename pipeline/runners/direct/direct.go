// Package direct runs bounded graphs on Beam's direct runner, in this process: it has no state and no timers, and
// takes an input that ends, so it does the textbook form only.
package direct

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // Deprecated for jobs that grow beyond it. The textbook form is bounded.
)

// Name is the value of --runner.
const Name = "direct"

// Execute runs a graph and waits for its end.
func Execute(ctx context.Context, p *beam.Pipeline) error {
	_, err := direct.Execute(ctx, p)
	return err
}
