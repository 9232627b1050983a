package canary

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/clients/rest"
	"pulseboard/internal/clock"
)

// Config is where the canary sends to, and where it watches.
type Config struct {
	Ingest  string // URL of each service, http://host:port.
	Config  string
	Gateway string
	// Instance is the tag of its events: each canary needs its own.
	Instance string
	// Token returns the token, with the scopes ingest and edit; it is asked again for
	// each request. nil = none is needed.
	Token func() (string, error)
	// TLS is by which certificates a service over https is verified; nil = those that the system trusts.
	TLS *tls.Config
	// Metrics is where it registers its metrics; nil = nowhere.
	Metrics prometheus.Registerer
	// Log is where it reports; nil = slog.Default().
	Log *slog.Logger
}

func (c *Config) validate() error {
	for _, u := range []struct {
		name  string
		value *string
	}{{"ingest", &c.Ingest}, {"the config service", &c.Config}, {"the gateway", &c.Gateway}} {
		parsed, err := url.Parse(*u.value)
		if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
			return fmt.Errorf("the address of %s is %.100q: it must be a URL such as http://127.0.0.1:8080", u.name, *u.value)
		}
		*u.value = strings.TrimRight(*u.value, "/")
	}
	if c.Instance == "" || len(c.Instance) > 256 || !utf8.ValidString(c.Instance) {
		return errors.New("the instance must have 1 to 256 bytes of UTF-8, as every value of a tag")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}

// Metric is that of the events that it sends. It is aggregated like any other, and not in the catalog (pipeline.Config.Hidden).
const Metric = "pulseboard.canary"

// Canary sends and watches.
type Canary struct {
	config  Config
	metrics *metrics
	ledger  *ledger
	client  rest.Client
}

// No request takes longer: an event is judged after the longest of them.
const requestTimeout = 10 * time.Second

// New returns a canary that does nothing before Run.
func New(c Config) (*Canary, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("cannot make the canary: %w", err)
	}
	l := newLedger(c.Metrics, c.Log, time.Now())
	return &Canary{
		config: c, metrics: l.metrics, ledger: l,
		client: rest.Client{Token: c.Token, HTTP: http.Client{
			Timeout: requestTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, TLSClientConfig: c.TLS},
		}},
	}, nil
}

// Run sends and watches until ctx ends, then returns nil: whatever fails is tried
// again, and shown by the metrics and the log.
func (c *Canary) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { c.send(ctx) })
	running.Go(func() { c.follow(ctx) })
	running.Go(func() {
		clock.Watch(ctx, func(by time.Duration, _ time.Time) {
			c.config.Log.Warn("the clock was set, or the machine slept: nothing is said of the events under way", "by", by)
			c.ledger.forgive(time.Now())
		})
	})
	running.Wait()
	c.client.HTTP.CloseIdleConnections()
	return nil
}
