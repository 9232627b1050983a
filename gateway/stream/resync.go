package stream

import (
	"time"

	"golang.org/x/time/rate"

	"pulseboard/gateway/rooms"
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
	timer   *time.Timer // Runs while snapshots are held back.
	play    bool        // The client plays again then.
	pending rooms.Pending
}

func newResyncs() resyncs {
	return resyncs{limiter: rate.NewLimiter(rate.Every(resyncEvery), resyncBurst)}
}

// resync makes snapshots pending, at once or as soon as the limiter allows.
// play ends its pause with them.
func (c *client) resync(n rooms.Pending, play bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.resyncs
	r.pending, r.play = max(r.pending, n), r.play || play
	if r.timer != nil {
		c.streams.metrics.resyncsLate.Inc()
		return
	}
	wait := r.limiter.ReserveN(c.streams.Now(), 1).DelayFrom(c.streams.Now())
	if wait <= 0 {
		c.grantResync()
		return
	}
	c.streams.metrics.resyncsLate.Inc()
	r.timer = time.AfterFunc(wait, func() {
		c.mu.Lock()
		c.resyncs.timer = nil
		c.grantResync()
		c.mu.Unlock()
		c.Wake()
	})
}

// grantResync is called with the client's lock.
func (c *client) grantResync() {
	r := &c.resyncs
	if r.play {
		c.paused = false
	}
	c.reader.Require(r.pending)
	r.pending, r.play = 0, false
}

// pause ends what was played, and what would be.
func (c *client) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused, c.resyncs.play = true, false
	c.reader.LeaveSync()
}
