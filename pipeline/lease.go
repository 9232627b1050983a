package pipeline

import (
	"context"
	"os"
	"time"

	"pulseboard/results"
)

// HolderEnv names the variable that has Config.Holder, for pulseboard run, whose
// pipeline has a new process after each fault.
const HolderEnv = "PULSEBOARD_PIPELINE_HOLDER"

// awaitLease takes the right to write results, and waits a while for one that may have
// ended just now to lose it. It fails when another pipeline goes on writing.
func awaitLease(ctx context.Context, c Config) (results.Lease, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	lease := results.Lease{Holder: c.Holder, Host: host}
	if lease.Log, err = c.Kafka.LogName(ctx, c.Topic); err != nil {
		return lease, err
	}
	store, err := results.Open(ctx, c.Redis)
	if err != nil {
		return lease, err
	}
	defer store.Close() //nolint:errcheck // What was written was answered.
	store.WriteAs(lease)
	const every = 250 * time.Millisecond
	t := time.NewTicker(every)
	defer t.Stop()
	for began := time.Now(); ; {
		err := store.Hold(ctx)
		if err == nil || !results.IsHeld(err) || time.Since(began) > results.AwaitLease {
			return lease, err
		}
		select {
		case <-ctx.Done():
			return lease, ctx.Err()
		case <-t.C:
		}
	}
}
