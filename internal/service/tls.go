package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"pulseboard/internal/clock"
)

// certificate is that of --tls-cert and --tls-key, read again when they change.
type certificate struct {
	edge    Edge
	every   time.Duration
	metrics *serverMetrics
	log     *slog.Logger
	now     atomic.Pointer[tls.Certificate]

	seen, judged files // Only look's.
}

// files are the texts of both, or why there is none.
type files struct{ cert, key, fault string }

// openCertificate returns nil for plain HTTP.
func openCertificate(e Edge, m *serverMetrics, log *slog.Logger) (*certificate, error) {
	switch {
	case e.Cert == "" && e.Key == "":
		return nil, nil
	case e.Cert == "" || e.Key == "":
		return nil, errors.New("HTTPS needs both --tls-cert and --tls-key")
	}
	c := &certificate{edge: e, every: 500 * time.Millisecond, metrics: m, log: log}
	c.seen = c.read()
	c.judged = c.seen
	pair, err := c.parse(c.seen)
	if err != nil {
		return nil, err
	}
	c.adopt(pair)
	return c, nil
}

func (c *certificate) read() files {
	cert, err := os.ReadFile(c.edge.Cert)
	if err != nil {
		return files{fault: fmt.Sprintf("cannot read --tls-cert: %v", err)}
	}
	key, err := os.ReadFile(c.edge.Key)
	if err != nil {
		return files{fault: fmt.Sprintf("cannot read --tls-key: %v", err)}
	}
	return files{cert: string(cert), key: string(key)}
}

func (c *certificate) parse(f files) (*tls.Certificate, error) {
	if f.fault != "" {
		return nil, errors.New(f.fault)
	}
	pair, err := tls.X509KeyPair([]byte(f.cert), []byte(f.key))
	if err != nil {
		return nil, fmt.Errorf("cannot use the certificate %s with the key %s: %w", c.edge.Cert, c.edge.Key, err)
	}
	return &pair, nil
}

func (c *certificate) adopt(pair *tls.Certificate) {
	c.now.Store(pair)
	c.metrics.expires.Set(float64(pair.Leaf.NotAfter.Unix()))
	if time.Now().After(pair.Leaf.NotAfter) {
		c.log.Error("the certificate has expired: clients refuse it", "file", c.edge.Cert, "expired", pair.Leaf.NotAfter)
	}
}

// run looks at the files until ctx ends, as auth.Guard does at its own: what they
// hold rather than their times. nil looks at nothing.
func (c *certificate) run(ctx context.Context) {
	if c == nil {
		return
	}
	for range clock.Every(ctx, c.every) {
		c.look()
	}
}

// look puts changed files in force when two looks agree: of a pair of which one is
// written yet, or half of one, the certificate from before stays.
func (c *certificate) look() {
	now := c.read()
	settled := now == c.seen
	c.seen = now
	if !settled || now == c.judged {
		return
	}
	c.judged = now
	pair, err := c.parse(now)
	if err != nil {
		c.metrics.failures.Inc()
		c.metrics.unusable.Set(1)
		c.log.Error("the changed certificate or key cannot be used: the one from before stays in force", "error", err)
		return
	}
	c.adopt(pair)
	c.metrics.reloads.Inc()
	c.metrics.unusable.Set(0)
	c.log.Info("the certificate was read again", "file", c.edge.Cert, "expires", pair.Leaf.NotAfter)
}

// config is that of a listener. HTTP/2 is not offered to pages: streams of the gateway,
// WebSocket and Server-Sent Events, take the connection over, which is HTTP/1.1's.
func (c *certificate) config(offered string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{offered},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil },
	}
}
