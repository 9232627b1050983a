package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"

	"github.com/centrifugal/centrifuge"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// setup is how the library is configured.
type setup string

const (
	setupDefault setup = "default"
	setupTuned   setup = "tuned"
)

func (s setup) MarshalText() ([]byte, error) { return []byte(s), nil }

func (s *setup) UnmarshalText(b []byte) error {
	switch v := setup(b); v {
	case setupDefault, setupTuned:
		*s = v
		return nil
	}
	return fmt.Errorf("it is %q: it must be default or tuned", b)
}

// newNode makes a node with the memory broker. No history, presence, positions
// or recovery: they would cost more, and the comparison does without. Its
// metrics count as they do by default, and so do those of the gateway.
func newNode(o options, log *slog.Logger) (*centrifuge.Node, error) {
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel: centrifuge.LogLevelError,
		LogHandler: func(e centrifuge.LogEntry) {
			log.Error("the library says", "message", e.Message, "fields", e.Fields)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make the node: %w", err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		reply := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}} // Anonymous.
		if o.writeDelay > 0 {
			reply.WriteDelay, reply.WriteWithTimer = o.writeDelay, true
		}
		return reply, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
			done(centrifuge.SubscribeReply{}, nil)
		})
	})
	return node, nil
}

func routes(node *centrifuge.Node, o options, f *feed) http.Handler {
	// Without compression, as the gateway. Pings every 25 s, as by default.
	ws := centrifuge.WebsocketConfig{
		UseWriteBufferPool: true,
		CheckOrigin:        func(*http.Request) bool { return true },
	}
	if o.setup == setupTuned {
		ws.ReadBufferSize = 1024 // As the gateway's: commands of clients are small.
		ws.ProcessCommandsOffReadLoop = true
	}
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, ws))
	mux.Handle("/metrics", promhttp.Handler())
	mux.HandleFunc("/debug/pprof/", pprof.Index) // For heap?gc=1.
	mux.HandleFunc("/feed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(f.facts()) // The client may be gone.
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if n := f.fed(); n < f.channels {
			http.Error(w, fmt.Sprintf("%d of %d channels have had a frame", n, f.channels), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n")) // The client may be gone.
	})
	return mux
}
