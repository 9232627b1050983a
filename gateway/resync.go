package gateway

import (
	"time"

	"golang.org/x/time/rate"
)

// A client may ask for all snapshots so often; more often, it gets them when the
// next ones are allowed, with what is true then.
const (
	resyncEvery = 2 * time.Second
	resyncBurst = 5
)

// resyncs is when a client may be given all snapshots again. Guarded by client.mu.
type resyncs struct {
	limiter *rate.Limiter
	timer   *time.Timer // Runs while an answer is owed.
	play    bool        // The client plays again then.
	need    need
}

func newResyncs() resyncs {
	return resyncs{limiter: rate.NewLimiter(rate.Every(resyncEvery), resyncBurst)}
}

// resync owes the client snapshots, at once or as soon as it may have them.
// play ends its pause with them.
func (c *client) resync(n need, play bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.resyncs
	r.need, r.play = max(r.need, n), r.play || play
	if r.timer != nil {
		c.hub.metrics.resyncsLate.Inc()
		return
	}
	wait := r.limiter.ReserveN(c.hub.now(), 1).DelayFrom(c.hub.now())
	if wait <= 0 {
		c.grantResync()
		return
	}
	c.hub.metrics.resyncsLate.Inc()
	r.timer = time.AfterFunc(wait, func() {
		c.mu.Lock()
		c.resyncs.timer = nil
		c.grantResync()
		c.mu.Unlock()
		c.wake()
	})
}

// grantResync is called with the client's lock.
func (c *client) grantResync() {
	r := &c.resyncs
	if r.play {
		c.paused = false
	}
	c.fallOut()
	c.teller.owe(r.need)
	r.need, r.play = needNothing, false
}

// pause ends what was played, and what would be.
func (c *client) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused, c.resyncs.play = true, false
	c.fallOut()
}
