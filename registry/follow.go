package registry

import (
	"context"
	"time"
)

// How soon a look that failed is repeated. Redis that is unavailable costs one
// refused connection each time.
const retryAfter = 250 * time.Millisecond

// follow calls look at the start, on each notice of the channel, after each
// (re-)subscription and at least every every. A look that failed is repeated
// soon, with its trigger. follow returns when ctx ends.
func (s *Store) follow(ctx context.Context, every time.Duration, channel string, look func(context.Context, trigger) error) {
	box := mailbox{ready: make(chan struct{}, 1)}
	sub := s.client.Listen(ctx, func(_, payload string) { box.put(payload) }, box.resubscribed, channel)
	defer sub.Close()

	timer := time.NewTimer(0)
	defer timer.Stop()
	unavailable, deaf := false, false
	var failed trigger // Of looks that failed: the next one is for it too.
	for {
		var why trigger
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			why.poll = true
		case <-box.ready:
			why = box.take()
		}
		why = failed.and(why)
		err := look(ctx, why)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !unavailable {
				s.log.Warn("the registry cannot be read; the last one stays in force", "channel", channel, "error", err)
			}
			unavailable, failed = true, why
			timer.Reset(min(every, retryAfter))
			continue
		case unavailable:
			s.log.Info("the registry can be read again", "channel", channel)
			unavailable = false
		}
		failed = trigger{}
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
