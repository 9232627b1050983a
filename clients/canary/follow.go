package canary

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/internal/clock"
	"pulseboard/wire"
)

// Between two attempts; more when they fail again and again.
const firstRetry, lastRetry = 500 * time.Millisecond, 5 * time.Second

// follow watches the stream, and opens it again whenever it ends.
func (c *Canary) follow(ctx context.Context) {
	retry := firstRetry
	failing := new(lastOutcome)
	for {
		err := c.ensure(ctx)
		if err == nil {
			err = c.watch(ctx, func() {
				retry = firstRetry
				if failing.changes(false) {
					c.config.Log.Info("the canary sees results again")
				}
			})
		}
		c.metrics.open.Set(0)
		if ctx.Err() != nil {
			return
		}
		if failing.changes(true) {
			c.config.Log.Warn("the canary sees no results; trying on", "error", err)
		}
		clock.Sleep(ctx, retry)
		retry = min(2*retry, lastRetry)
	}
}

// watch shows the ledger every window of a stream until it ends, which is an
// error always. It calls opened when the gateway has let it in.
func (c *Canary) watch(ctx context.Context, opened func()) error {
	address := "ws" + strings.TrimPrefix(c.config.Gateway, "http") + "/stream/" + DashboardID
	header := http.Header{}
	if err := c.client.Authorize(header); err != nil {
		return err
	}
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: requestTimeout, Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.config.TLS}
	conn, res, err := dialer.DialContext(ctx, address, header)
	if err != nil {
		if res != nil {
			_ = res.Body.Close()
			err = fmt.Errorf("%s answered %s: %w", address, res.Status, err)
		}
		return fmt.Errorf("cannot open the stream: %w", err)
	}
	defer conn.Close()                                          //nolint:errcheck // Nothing is under way.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // It ends the read.
	conn.SetReadLimit(wire.MaxFrame)
	if err := conn.WriteJSON(wire.NewHello()); err != nil {
		return fmt.Errorf("cannot say hello to the gateway: %w", err)
	}
	f := newFrames(c.config.Instance)
	for welcomed := false; ; {
		if err := conn.SetReadDeadline(time.Now().Add(f.silence)); err != nil {
			return err
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			return fmt.Errorf("the stream ended: %w", err)
		}
		windows, err := f.read(text)
		now := time.Now()
		for _, w := range windows {
			c.ledger.show(w, now)
		}
		if err != nil {
			return err
		}
		if !welcomed && f.index >= 0 {
			welcomed = true
			c.metrics.open.Set(1)
			c.metrics.streams.Inc()
			opened()
		}
	}
}
