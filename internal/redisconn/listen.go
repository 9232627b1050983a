package redisconn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Listener receives the messages of channels over one connection, and makes
// another one when Redis refused to subscribe, closed it or says nothing any
// more. go-redis by itself would ask once after a reconnection, and take a
// connection for good as long as it can write to it.
type Listener struct {
	client  *Client
	message func(channel, payload string)
	missed  func()
	cancel  context.CancelFunc
	done    chan struct{}

	silence time.Duration

	mu     sync.Mutex
	wanted map[string]*wanted
	conn   *redis.PubSub // Of now, nil = none was made yet.
	last   error         // Why the one before ended, nil = Redis subscribes.
}

// wanted is a channel that somebody listens to.
type wanted struct {
	users int
	heard chan struct{} // Closed when Redis has acknowledged the subscription.
	since bool          // Something may have been missed: it was there from the beginning, or was acknowledged.
}

// How long Redis may say nothing before it is asked, and again before the
// connection is given up; how soon the next one is made.
const (
	silence    = 3 * time.Second
	retryAfter = 100 * time.Millisecond
)

// Listen begins with these channels. message gets each message. missed is called
// when a connection is subscribed to all that was wanted as it was made: messages
// of these channels, or of one that was added before, may have been missed. Both
// are called from one goroutine and must not block: what they hold up, Redis would
// cut off. Listening ends with ctx.
func (c *Client) Listen(ctx context.Context, message func(channel, payload string), missed func(), channels ...string) *Listener {
	return c.listen(ctx, silence, message, missed, channels)
}

func (c *Client) listen(ctx context.Context, silence time.Duration, message func(channel, payload string), missed func(), channels []string) *Listener {
	ctx, cancel := context.WithCancel(ctx)
	l := &Listener{
		client: c, message: message, missed: missed, cancel: cancel, done: make(chan struct{}), silence: silence,
		wanted: make(map[string]*wanted),
	}
	for _, name := range channels {
		l.wanted[name] = &wanted{users: 1, heard: make(chan struct{}), since: true}
	}
	go func() {
		defer close(l.done)
		for ctx.Err() == nil {
			err := l.connection(ctx)
			l.mu.Lock()
			l.last = err
			l.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(retryAfter):
			}
		}
	}()
	return l
}

// connection makes a connection and reads from it until it is no good any more.
func (l *Listener) connection(ctx context.Context) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	conn := l.client.Subscribe(ctx)
	// Reading ends with the connection alone, and the connection with this call. Nothing is lost with it: it was only read.
	context.AfterFunc(ctx, func() { _ = conn.Close() })

	l.mu.Lock()
	l.conn = conn
	var channels []string
	miss := false
	for name, w := range l.wanted {
		miss = miss || w.since
		channels = append(channels, l.client.Channel(name))
	}
	var err error
	if len(channels) > 0 {
		err = conn.Subscribe(ctx, channels...) // While the lock is held: what is added or removed from now on comes behind it.
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	var heard atomic.Bool
	go watch(ctx, conn, l.silence, &heard, giveUp)

	owed := len(channels) // Acknowledgements before missed is called.
	acknowledged := make(map[string]bool)
	for {
		m, err := conn.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
		heard.Store(true)
		switch m := m.(type) {
		case *redis.Message:
			l.message(l.client.ChannelName(m.Channel), m.Payload)
		case *redis.Subscription:
			if m.Kind != "subscribe" {
				delete(acknowledged, m.Channel)
				continue
			}
			if acknowledged[m.Channel] {
				return errAnew
			}
			acknowledged[m.Channel] = true
			l.acknowledge(l.client.ChannelName(m.Channel))
			if owed--; owed == 0 && miss {
				l.missed()
			}
		}
	}
}

// Writing may tell go-redis of the loss of a connection before reading does. It
// then makes another one and subscribes, and reading goes on there without an error.
var errAnew = errors.New("the connection was made anew")

var errSilent = errors.New("Redis does not answer on the connection of the subscriptions") //nolint:staticcheck // A name begins the text.

// watch gives a connection up on which nothing comes, not even the answer to a ping.
func watch(ctx context.Context, conn *redis.PubSub, silence time.Duration, heard *atomic.Bool, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(silence)
	defer tick.Stop()
	for asked := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch {
		case heard.Swap(false):
			asked = false
		case asked || conn.Ping(ctx) != nil:
			giveUp(errSilent)
			return
		default:
			asked = true
		}
	}
}

func (l *Listener) acknowledge(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = nil
	w := l.wanted[name]
	if w == nil {
		return // Nobody wants it any more.
	}
	select {
	case <-w.heard:
	default:
		close(w.heard)
		w.since = true
	}
}

var errListenerClosed = errors.New("the subscription is closed")

// Add subscribes to a channel, once however many users it has, and returns when
// Redis has acknowledged it: what is published from then on is received.
func (l *Listener) Add(ctx context.Context, name string) error {
	l.mu.Lock()
	w := l.wanted[name]
	if w == nil {
		w = &wanted{heard: make(chan struct{})}
		l.wanted[name] = w
		if l.conn != nil {
			// While the lock is held, so that it cannot be overtaken by a Remove. Without
			// a connection the next one subscribes, which the wait below sees.
			_ = l.conn.Subscribe(ctx, l.client.Channel(name))
		}
	}
	w.users++
	l.mu.Unlock()
	select {
	case <-w.heard:
		return nil
	case <-l.done:
		return errListenerClosed
	case <-ctx.Done():
		l.mu.Lock()
		err := errors.Join(ctx.Err(), l.last)
		l.mu.Unlock()
		l.Remove(context.WithoutCancel(ctx), name) // The caller is told that it is not subscribed, so it must not stay.
		return fmt.Errorf("cannot subscribe to %q: %w", name, err)
	}
}

// Remove takes back one Add; with the last one the subscription ends.
func (l *Listener) Remove(ctx context.Context, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.wanted[name]
	if w.users--; w.users > 0 {
		return
	}
	delete(l.wanted, name)
	if l.conn != nil {
		_ = l.conn.Unsubscribe(ctx, l.client.Channel(name)) // A connection that cannot take it is no good, and the next one does not have it.
	}
}

// Refusal is what Redis answers in place of subscribing, nil when it subscribes or does not answer at all.
func (l *Listener) Refusal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var refusal redis.Error
	if errors.As(l.last, &refusal) {
		return refusal
	}
	return nil
}

// Close ends the subscriptions and waits until nothing will be called again.
func (l *Listener) Close() {
	l.cancel()
	<-l.done
}
