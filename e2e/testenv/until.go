package testenv

import (
	"context"
	"errors"
	"testing"
	"time"
)

// How long anything may take on a busy machine, also for a server to begin.
const patience = 3 * time.Minute

// Until repeats a check until it holds. ctx ends when the test fails for want of time.
func Until(tb testing.TB, what string, ok func(ctx context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("waited too long until %s: %v", what, err)
		case <-every.C:
		}
	}
}

// That makes a condition a check.
func That(holds func() bool) func(context.Context) error {
	return func(context.Context) error {
		if !holds() {
			return errors.New("it is not so")
		}
		return nil
	}
}
