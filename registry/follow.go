package registry

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// How soon a look that failed is repeated. Redis that is away costs one
// refused connection each time.
const retryAfter = 250 * time.Millisecond

// occasion is why follow looks: messages, a (re-)subscription, the time, or
// several of them.
type occasion struct {
	payloads   []string
	subscribed bool
	poll       bool
}

// and returns both in one.
func (o occasion) and(other occasion) occasion {
	return occasion{append(o.payloads, other.payloads...), o.subscribed || other.subscribed, o.poll || other.poll}
}

// follow calls look at the start, on each message of the channel, after each
// (re-)subscription and at least every every. A look that failed is repeated
// soon. follow returns when ctx ends.
func (s *Store) follow(ctx context.Context, every time.Duration, channel string, look func(context.Context, occasion) error) {
	sub := s.client.Subscribe(ctx, channel)
	// The error of a subscription that is given up has no reader.
	defer func() { _ = sub.Close() }()
	// Once the buffer is full, go-redis stops reading, and Redis (or, with
	// miniredis, everybody) waits for us: the room is ample, and a message
	// that finds none soon is left to the poll.
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(10_000), redis.WithChannelSendTimeout(time.Second))

	timer := time.NewTimer(0)
	defer timer.Stop()
	away := false
	var owed occasion // What a look that failed was for: the next one is for it too.
	for {
		var why occasion
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			why.poll = true
		case m, open := <-messages:
			if !open {
				return
			}
			why = collect(m, messages)
		}
		if !why.poll && !why.subscribed && len(why.payloads) == 0 {
			continue
		}
		why = owed.and(why)
		err := look(ctx, why)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !away {
				s.log.Warn("the registry cannot be read; the last one stays in force", "channel", channel, "error", err)
			}
			away, owed = true, why
			timer.Reset(min(every, retryAfter))
			continue
		case away:
			s.log.Info("the registry can be read again", "channel", channel)
			away = false
		}
		owed = occasion{}
		if why.poll {
			timer.Reset(every)
		}
	}
}

// collect takes what is waiting beside first, so that a burst of changes is
// one look.
func collect(first any, more <-chan any) (why occasion) {
	seen := make(map[string]bool)
	for m := first; ; {
		switch m := m.(type) {
		case *redis.Subscription:
			// Messages may have been missed before it.
			why.subscribed = true
		case *redis.Message:
			if !seen[m.Payload] {
				seen[m.Payload] = true
				why.payloads = append(why.payloads, m.Payload)
			}
		}
		select {
		case next, open := <-more:
			if !open {
				return why
			}
			m = next
		default:
			return why
		}
	}
}
