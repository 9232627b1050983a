package registry

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
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
	box := mailbox{ids: make(map[string]bool), ready: make(chan struct{}, 1)}
	sub := s.client.Listen(ctx, func(_, payload string) { box.put(payload) }, box.resubscribed, channel)
	defer sub.Close()

	timer := time.NewTimer(0)
	defer timer.Stop()
	away, deaf := false, false
	var owed occasion // What a look that failed was for: the next one is for it too.
	for {
		var why occasion
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			why.poll = true
		case <-box.ready:
			why = box.take()
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
		if err := sub.Refusal(); err != nil && !deaf {
			s.log.Warn("changes cannot be heard; they are looked for at intervals", "channel", channel, "every", every, "error", err)
			deaf = true
		} else if err == nil && deaf {
			s.log.Info("changes can be heard again", "channel", channel)
			deaf = false
		}
		if why.poll {
			timer.Reset(every)
		}
	}
}

// mailbox holds what was heard until it is looked at, so that a burst of changes is one look.
type mailbox struct {
	mu         sync.Mutex
	ids        map[string]bool
	subscribed bool
	ready      chan struct{}
}

func (b *mailbox) put(id string) {
	b.mu.Lock()
	b.ids[id] = true
	b.mu.Unlock()
	b.signal()
}

// resubscribed is for what may have been missed before it.
func (b *mailbox) resubscribed() {
	b.mu.Lock()
	b.subscribed = true
	b.mu.Unlock()
	b.signal()
}

func (b *mailbox) signal() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *mailbox) take() occasion {
	b.mu.Lock()
	defer b.mu.Unlock()
	why := occasion{payloads: slices.Collect(maps.Keys(b.ids)), subscribed: b.subscribed}
	clear(b.ids)
	b.subscribed = false
	return why
}
