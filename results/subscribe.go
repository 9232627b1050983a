package results

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/internal/redisconn"
)

// Subscriber is one connection that receives the messages of many metric keys.
type Subscriber struct {
	client  *redisconn.Client
	pubsub  *redis.PubSub
	handler func(key, payload string)
	resync  func()
	done    chan struct{}

	mu    sync.Mutex
	users map[string]int
	acked map[string]chan struct{} // Closed when Redis has acknowledged the subscription.
}

// Subscribe opens a connection without any key. handler gets each message, and
// resync is called when the connection was lost and is back, so that messages
// may have been missed. Both are called from one goroutine and must not block:
// what they hold up, Redis would cut off.
func (s *Store) Subscribe(ctx context.Context, handler func(key, payload string), resync func()) *Subscriber {
	sub := &Subscriber{
		client: s.client, pubsub: s.client.Subscribe(ctx), handler: handler, resync: resync, done: make(chan struct{}),
		users: make(map[string]int), acked: make(map[string]chan struct{}),
	}
	// The channel of subscriptions tells of each one, and again after each reconnection.
	messages := sub.pubsub.ChannelWithSubscriptions(redis.WithChannelSize(channelSize), redis.WithChannelSendTimeout(time.Minute))
	go sub.receive(messages)
	return sub
}

// How many messages may wait for the handler. When go-redis cannot queue more
// it stops reading, and Redis cuts the connection at its output limit.
const channelSize = 16_384

func (s *Subscriber) receive(messages <-chan any) {
	defer close(s.done)
	lost := false
	for m := range messages {
		switch m := m.(type) {
		case *redis.Message:
			s.handler(s.client.ChannelName(m.Channel), m.Payload)
		case *redis.Subscription:
			if m.Kind == "subscribe" && !s.acknowledge(s.client.ChannelName(m.Channel)) {
				lost = true
			}
		}
		// The acknowledgements of all keys come together: they are one loss.
		if lost && len(messages) == 0 {
			lost = false
			s.resync()
		}
	}
}

// acknowledge returns false when the key was acknowledged before: it is
// subscribed to anew, on another connection.
func (s *Subscriber) acknowledge(key string) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ack := s.acked[key]
	if ack == nil {
		return true // Nobody wants it any more.
	}
	select {
	case <-ack:
		return false
	default:
		close(ack)
		return true
	}
}

var errSubscriberClosed = errors.New("the subscription is closed")

// Add subscribes to a key, once however many users it has, and returns when
// Redis has acknowledged it: results published from then on are received.
func (s *Subscriber) Add(ctx context.Context, key string) error {
	s.mu.Lock()
	s.users[key]++
	ack := s.acked[key]
	if ack == nil {
		ack = make(chan struct{})
		s.acked[key] = ack
		// While the lock is held, so that it cannot be overtaken by a Remove. Without
		// a connection go-redis keeps the key and subscribes once it has one, which the wait below sees.
		_ = s.pubsub.Subscribe(ctx, s.client.Channel(key))
	}
	s.mu.Unlock()
	select {
	case <-ack:
		return nil
	case <-s.done:
		return errSubscriberClosed
	case <-ctx.Done():
		// The caller is told that it is not subscribed, so it must not stay.
		return errors.Join(fmt.Errorf("cannot subscribe to %q: %w", key, ctx.Err()), s.Remove(context.WithoutCancel(ctx), key))
	}
}

// Remove takes back one Add; with the last one the subscription ends.
func (s *Subscriber) Remove(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[key]--; s.users[key] > 0 {
		return nil
	}
	delete(s.users, key)
	delete(s.acked, key)
	if err := s.pubsub.Unsubscribe(ctx, s.client.Channel(key)); err != nil {
		return fmt.Errorf("cannot unsubscribe from %q: %w", key, err)
	}
	return nil
}

// Close ends the subscriptions and waits until handler will not be called again.
func (s *Subscriber) Close() error {
	err := s.pubsub.Close()
	<-s.done
	return err
}
