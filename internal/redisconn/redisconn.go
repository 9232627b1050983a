// Package redisconn opens connections to Redis the same way for all that speak to it.
package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"pulseboard/internal/clienttls"
)

// Time limits. Redis answers within a millisecond; a second of silence means
// that it is away, and callers try again by themselves.
const (
	openTimeout  = 3 * time.Second
	dialTimeout  = time.Second
	replyTimeout = 2 * time.Second
)

// Open connects to a Redis, and fails when it does not answer within 3 s or is
// none that we can use.
func Open(ctx context.Context, e Endpoint) (*Client, error) {
	if e.IsZero() {
		return nil, errors.New("no Redis: name it with --redis host:port")
	}
	// What go-redis prints by itself is what our callers report with more context.
	logging.Disable()
	c := e.scoped()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err := c.Ping(ctx).Err()
	if err == nil {
		err = refuseCluster(ctx, c)
	}
	if err != nil {
		_ = c.Close() // Nothing was written.
		return nil, e.explain(err)
	}
	return c, nil
}

// Client is a Redis in which one installation has its own names.
type Client struct {
	*redis.Client

	at             Endpoint
	keys, channels string // What stands before names.
}

func (e Endpoint) scoped() *Client {
	c := &Client{Client: e.client(), at: e}
	if e.Prefix != "" {
		// No metric name has this character, so that no key or channel of an installation without a prefix begins so.
		c.keys = e.Prefix + "|"
	}
	c.channels = c.keys
	if e.DB != 0 {
		// Channels are the same in all databases of a server. No metric name begins with a digit.
		c.channels += strconv.Itoa(e.DB) + "/"
	}
	return c
}

// Endpoint is where the Redis is.
func (c *Client) Endpoint() Endpoint { return c.at }

// Key is the key of this name.
func (c *Client) Key(name string) string { return c.keys + name }

// KeyName is the name of a key.
func (c *Client) KeyName(key string) string { return strings.TrimPrefix(key, c.keys) }

// Channel is the channel of this name.
func (c *Client) Channel(name string) string { return c.channels + name }

// ChannelName is the name of a channel.
func (c *Client) ChannelName(channel string) string { return strings.TrimPrefix(channel, c.channels) }

func (e Endpoint) client() *redis.Client {
	dialer := clienttls.Dialer{Files: e.TLS, Name: flagName, Timeout: dialTimeout}
	if e.Master != "" {
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: e.Master, SentinelAddrs: e.Hosts, SentinelPassword: e.Sentinel.Text.Reveal(),
			Username: e.User, Password: e.Password.Text.Reveal(), DB: e.DB, Dialer: dialer.Dial,
			DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: replyTimeout, WriteTimeout: replyTimeout,
			ContextTimeoutEnabled: true, MaxRetries: 1,
		})
	}
	o := &redis.Options{
		Network: "tcp", Username: e.User, Password: e.Password.Text.Reveal(), DB: e.DB, Dialer: dialer.Dial,
		DialTimeout: dialTimeout, DialerRetries: 1, ReadTimeout: replyTimeout, WriteTimeout: replyTimeout,
		ContextTimeoutEnabled: true, MaxRetries: 1,
		// Valkey, KeyDB and Dragonfly refuse the command that this feature sends.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if e.Socket != "" {
		o.Network, o.Addr = "unix", e.Socket
		o.Dialer = clienttls.Dialer{Timeout: dialTimeout}.Dial
	} else {
		o.Addr = e.Hosts[0]
	}
	return redis.NewClient(o)
}

var errCluster = errors.New("it is a Redis Cluster, which spreads keys over several servers; Pulseboard changes keys together, which a Cluster refuses: " +
	"name a Redis that is no Cluster with --redis, or Sentinels with redis-sentinel:// where it must survive the loss of a machine")

// refuseCluster reads two keys of ours that a Cluster would have in different
// places. INFO would say it too, but is among the commands that an ACL forbids first.
func refuseCluster(ctx context.Context, c *Client) error {
	err := c.MGet(ctx, c.Key("results:alive"), c.Key("catalog:alive")).Err()
	for _, word := range []string{"CROSSSLOT", "MOVED", "ASK", "CLUSTERDOWN"} {
		if err != nil && strings.HasPrefix(err.Error(), word+" ") {
			return errCluster
		}
	}
	return err
}

// explain says what to do about a Redis that cannot be used.
func (e Endpoint) explain(err error) error {
	var fault *clienttls.Fault
	text := err.Error()
	switch {
	case errors.Is(err, errCluster):
		return fmt.Errorf("cannot use Redis at %s: %w", e, errCluster)
	case errors.As(err, &fault):
		return fmt.Errorf("cannot use Redis at %s: %w", e, fault)
	case strings.HasPrefix(text, "WRONGPASS"):
		return fmt.Errorf("Redis at %s does not take the password of %s: correct it in the file of --redis-password-file or in PULSEBOARD_REDIS_PASSWORD, or the name with --redis-user", e, e.who()) //nolint:staticcheck // A name begins the text.
	case strings.HasPrefix(text, "NOAUTH"), strings.Contains(text, "HELLO must be called with the client already authenticated"):
		return fmt.Errorf("Redis at %s asks for a password: name a file that holds it with --redis-password-file, or set PULSEBOARD_REDIS_PASSWORD", e) //nolint:staticcheck // A name begins the text.
	case strings.HasPrefix(text, "NOPERM"):
		return fmt.Errorf("Redis at %s does not allow %s what Pulseboard needs (docs/access.md lists it): %w", e, e.who(), err) //nolint:staticcheck // A name begins the text.
	case e.Master != "":
		return fmt.Errorf("cannot reach the Redis that the Sentinels at %s know as %s: %w; start them, or correct --redis", strings.Join(e.Hosts, ","), e.Master, err)
	case !e.TLS.On && isCut(err):
		return fmt.Errorf("cannot use Redis at %s: it closes the connection at once (%w); if it is reached by TLS, write rediss:// in --redis", e, err)
	}
	return fmt.Errorf("cannot reach Redis at %s: %w; start it or pass another address with --redis", e, err)
}

func (e Endpoint) who() string {
	if e.User == "" {
		return "the default user"
	}
	return fmt.Sprintf("the user %q", e.User)
}

// isCut reports whether the other end hung up instead of answering.
func isCut(err error) bool {
	var op *net.OpError
	return strings.HasSuffix(err.Error(), "EOF") || errors.As(err, &op) && op.Op == "read" && !errors.Is(err, os.ErrDeadlineExceeded)
}
