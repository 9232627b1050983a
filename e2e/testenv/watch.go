package testenv

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Watch calls message for each message on channels of this pattern, as they
// come, and read every so often, until the test ends.
func Watch(t *testing.T, client *redis.Client, pattern string, message func(*redis.Message), every time.Duration, read func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	pubsub := client.PSubscribe(ctx, pattern)
	if _, err := pubsub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for m := range pubsub.Channel(redis.WithChannelSize(100_000)) {
			message(m)
		}
	})
	running.Go(func() {
		for ctx.Err() == nil {
			read(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = pubsub.Close()
		running.Wait()
		_ = client.Close()
	})
}
