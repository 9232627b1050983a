package registry

import (
	"slices"
	"sync"

	"pulseboard/wire"
)

// trigger is why a follower looks: notices, a (re-)subscription, the time, or
// several of them.
type trigger struct {
	names       []string // The fields that notices named.
	first, last int64    // The versions of these notices, which follow each other; 0 = none.
	all         bool     // Anything may have changed: a subscription, a gap between notices, one without names.
	poll        bool
}

// continues reports whether the notices name all that changed since version seen.
// After version 0, an emptied Redis, they do not: what is gone since is named by none.
func (t trigger) continues(seen int64) bool {
	return !t.all && seen > 0 && t.first == seen+1
}

// and returns both in one; other is the later one.
func (t trigger) and(other trigger) trigger {
	out := trigger{slices.Concat(t.names, other.names), t.first, t.last, t.all || other.all, t.poll || other.poll}
	switch {
	case t.first == 0:
		out.first, out.last = other.first, other.last
	case other.first > 0:
		out.all = out.all || other.first != t.last+1
		out.last = other.last
	}
	return out
}

// mailbox collects triggers until the follower looks, so that a burst of changes is one look.
type mailbox struct {
	mu    sync.Mutex
	held  trigger
	ready chan struct{}
}

// put takes the payload of a message.
func (b *mailbox) put(payload string) {
	t := trigger{all: true}
	if n, ok := wire.DecodeNotice(payload); ok && n.Changed != nil {
		t = trigger{names: n.Changed, first: n.Version, last: n.Version}
	}
	b.add(t)
}

// resubscribed is called when messages may have been missed before.
func (b *mailbox) resubscribed() { b.add(trigger{all: true}) }

func (b *mailbox) add(t trigger) {
	b.mu.Lock()
	b.held = b.held.and(t)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *mailbox) take() trigger {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.held
	b.held = trigger{}
	return t
}
