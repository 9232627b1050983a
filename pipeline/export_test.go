package pipeline

import (
	"context"

	"pulseboard/transforms"
)

// StartTime is from when on a run reads records.
var StartTime = startTime

// Resume is what Redis says of the queries in its registry.
func Resume(ctx context.Context, c Config) (transforms.Resume, error) {
	_, resume, err := lookUp(ctx, c)
	return resume, err
}
