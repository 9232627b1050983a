package redisconn_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	msrv "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
)

// heard is what a Listener has told.
type heard struct {
	mu       sync.Mutex
	messages []string
	missed   atomic.Int32
}

func (h *heard) message(channel, payload string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages = append(h.messages, channel+"="+payload)
}

func (h *heard) has(message string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.messages, message)
}

func (h *heard) again() { h.missed.Add(1) }

func openAt(t *testing.T, addr string) *redisconn.Client {
	t.Helper()
	c, err := redisconn.Open(t.Context(), redisconn.At(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// hears waits until a message on the channel arrives.
func hears(t *testing.T, c *redis.Client, h *heard, channel, payload string) {
	t.Helper()
	testenv.Until(t, payload+" arrives", func(ctx context.Context) error {
		if h.has(channel + "=" + payload) {
			return nil
		}
		if err := c.Publish(ctx, channel, payload).Err(); err != nil {
			return err
		}
		return fmt.Errorf("not yet")
	})
}

// A Redis that refuses to subscribe, as one does that has begun to listen and does not know
// its commands or users yet, is asked again until it does.
func TestARefusedSubscriptionIsAskedForAgain(t *testing.T) {
	server := miniredis.RunT(t)
	c := openAt(t, server.Addr())
	var h heard
	l := c.Listen(t.Context(), h.message, h.again, "a", "b")
	defer l.Close()
	hears(t, c.Client, &h, "a", "1")
	if n := h.missed.Load(); n != 1 {
		t.Errorf("missed was called %d times at the start", n)
	}

	server.Close()
	server.SetError("")
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	server.SetError("ERR not yet")
	before := server.TotalConnectionCount()
	testenv.Until(t, "it is asked and refuses", func(context.Context) error {
		if n := server.TotalConnectionCount() - before; n < 2 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := l.Add(ctx, "c"); err == nil || !strings.Contains(err.Error(), "ERR not yet") {
		t.Errorf("a subscription that is refused: %v", err)
	}
	if n := h.missed.Load(); n != 1 {
		t.Errorf("missed was called %d times while it is refused", n-1)
	}
	if err := l.Refusal(); err == nil || err.Error() != "ERR not yet" {
		t.Errorf("the refusal is %v", err)
	}
	server.SetError("")
	testenv.Until(t, "it is subscribed again", func(context.Context) error {
		if n := h.missed.Load(); n < 2 {
			return fmt.Errorf("missed was called %d times", n)
		}
		return nil
	})
	hears(t, c.Client, &h, "b", "2")
	if err := l.Refusal(); err != nil {
		t.Errorf("it subscribes, and the refusal is %v", err)
	}
	if got := fmt.Sprint(server.PubSubChannels("*")); got != "[a b]" {
		t.Errorf("subscribed to %s", got)
	}
	testenv.Until(t, "connections that are no good are closed", func(context.Context) error {
		if n := server.CurrentConnectionCount(); n > 4 { // Of the subscriptions, and those of commands.
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	server.Close()
	l.Close()
	if err := l.Refusal(); err != nil { // Nobody refused: it was away, and then nobody listened.
		t.Errorf("it is closed, and the refusal is %v", err)
	}
}

// The same of a real Redis, whose user loses the right to a channel and gets it back.
func TestAUserThatMayNotSubscribe(t *testing.T) {
	testenv.NeedRedis(t)
	_, addr := testenv.StartRedisWith(t, "port "+testenv.RedisPort)
	c := openAt(t, addr)
	var h heard
	l := c.Listen(t.Context(), h.message, h.again, "a")
	defer l.Close()
	hears(t, c.Client, &h, "a", "1")
	do := func(words ...any) {
		t.Helper()
		if err := c.Do(t.Context(), words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	do("acl", "setuser", "default", "resetchannels") // Which ends the subscriptions that it forbids.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := l.Add(ctx, "c"); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("a subscription that is refused: %v", err)
	}
	do("acl", "setuser", "default", "allchannels")
	hears(t, c.Client, &h, "a", "2")
	if n := h.missed.Load(); n != 2 {
		t.Errorf("missed was called %d times, once at the start", n)
	}
}

// A connection on which nothing comes any more is given up, though nobody closed it.
func TestASilentConnectionIsGivenUp(t *testing.T) {
	server := miniredis.RunT(t)
	network := testenv.NewSwitch(t, server.Addr())
	c := openAt(t, network.Addr())
	var h heard
	l := c.ListenWithin(t.Context(), 200*time.Millisecond, h.message, h.again, "a")
	defer l.Close()
	outside := openAt(t, server.Addr())
	hears(t, outside.Client, &h, "a", "1")
	network.Silence()
	hears(t, outside.Client, &h, "a", "2")
	if n := h.missed.Load(); n < 2 {
		t.Errorf("missed was called %d times", n)
	}
}

// An answer to a ping keeps a connection on which nobody publishes.
func TestAQuietConnectionIsKept(t *testing.T) {
	server := miniredis.RunT(t)
	var pings atomic.Int32
	server.Server().SetPreHook(func(_ *msrv.Peer, cmd string, _ ...string) bool {
		if cmd == "PING" {
			pings.Add(1)
		}
		return false
	})
	c := openAt(t, server.Addr())
	var h heard
	l := c.ListenWithin(t.Context(), 3*time.Second, h.message, h.again, "a")
	defer l.Close()
	before := pings.Load()
	testenv.Until(t, "it was asked twice", func(context.Context) error {
		if n := pings.Load() - before; n < 2 {
			return fmt.Errorf("%d pings", n)
		}
		return nil
	})
	if n := h.missed.Load(); n != 1 {
		t.Errorf("missed was called %d times", n)
	}
}
