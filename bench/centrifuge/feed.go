package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/gorilla/websocket"
)

// feed is a client of the gateway, one stream a dashboard. Every update frame is
// published as it came, byte by byte, at the moment that it came. Other messages
// of the gateway have no use here: they belong to one connection.
type feed struct {
	gateway  string
	node     *centrifuge.Node
	log      *slog.Logger
	channels int
	wg       sync.WaitGroup
	begun    atomic.Int64 // Channels that had a frame.
	frames   atomic.Int64
	bytes    atomic.Int64
	lost     atomic.Int64 // Streams that ended and were opened again.

	mu     sync.Mutex
	delays []float64 // Of the newest frames, ms from the gateway's server_time until they were published.
}

const keptDelays = 20_000

func newFeed(gateway string, node *centrifuge.Node, log *slog.Logger, channels int) *feed {
	return &feed{gateway: gateway, node: node, log: log, channels: channels}
}

func (f *feed) start(ctx context.Context, ids []string) {
	for _, id := range ids {
		f.wg.Go(func() { f.follow(ctx, id) })
	}
}

func (f *feed) wait() { f.wg.Wait() }

func (f *feed) fed() int { return int(f.begun.Load()) }

// follow keeps a stream open until ctx ends.
func (f *feed) follow(ctx context.Context, id string) {
	first := true
	for ctx.Err() == nil {
		err := f.stream(ctx, id, func() {
			if first {
				first = false
				f.begun.Add(1)
			}
		})
		if ctx.Err() != nil {
			return
		}
		f.lost.Add(1)
		f.log.Warn("a stream of the gateway ended; it is opened again", "dashboard", id, "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (f *feed) stream(ctx context.Context, id string, fed func()) error {
	dialer := websocket.Dialer{Subprotocols: []string{"pulseboard.v1"}, ReadBufferSize: 4096, HandshakeTimeout: 10 * time.Second}
	ws, res, err := dialer.DialContext(ctx, "ws://"+f.gateway+"/stream/"+id, nil)
	if res != nil {
		_ = res.Body.Close() // The library has read it.
	}
	if err != nil {
		if res != nil {
			return fmt.Errorf("the gateway answered %s: %w", res.Status, err)
		}
		return err
	}
	defer ws.Close() //nolint:errcheck // It was only read.
	stop := context.AfterFunc(ctx, func() { _ = ws.Close() })
	defer stop()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"hello"}`)); err != nil {
		return err
	}
	for {
		_, frame, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if !bytes.Contains(frame[:min(len(frame), 64)], []byte(`"type":"update"`)) {
			continue
		}
		if _, err := f.node.Publish(id, frame); err != nil {
			return fmt.Errorf("cannot publish: %w", err)
		}
		f.note(frame)
		fed()
	}
}

func (f *feed) note(frame []byte) {
	f.frames.Add(1)
	f.bytes.Add(int64(len(frame)))
	sent, ok := serverTime(frame)
	if !ok {
		return
	}
	delay := time.Since(time.UnixMilli(sent)).Seconds() * 1000
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.delays) == keptDelays {
		f.delays = slices.Delete(f.delays, 0, keptDelays/2)
	}
	f.delays = append(f.delays, delay)
}

// serverTime is that of an update frame, epoch ms.
func serverTime(frame []byte) (int64, bool) {
	_, rest, ok := bytes.Cut(frame, []byte(`"server_time":`))
	if !ok {
		return 0, false
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(string(rest[:n]), 10, 64)
	return v, err == nil
}

// facts is the answer of /feed.
type facts struct {
	Channels int     `json:"channels"`
	Fed      int     `json:"fed"` // Channels that had a frame.
	Frames   int64   `json:"frames"`
	Bytes    int64   `json:"bytes"`
	Lost     int64   `json:"lost_streams"`
	DelayP50 float64 `json:"delay_p50_ms"` // From the gateway's server_time until Publish has returned.
	DelayP99 float64 `json:"delay_p99_ms"`
}

func (f *feed) facts() facts {
	f.mu.Lock()
	delays := slices.Clone(f.delays)
	f.mu.Unlock()
	out := facts{Channels: f.channels, Fed: f.fed(), Frames: f.frames.Load(), Bytes: f.bytes.Load(), Lost: f.lost.Load()}
	if n := len(delays); n > 0 {
		slices.Sort(delays)
		out.DelayP50, out.DelayP99 = delays[n/2], delays[n*99/100]
	}
	return out
}
