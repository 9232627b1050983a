package embedded

import (
	"container/list"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"
)

// gate stands before the broker, which would allocate as many bytes as the first four
// of a message name, and end the process at a request of an unknown kind. It passes on whole
// requests only, of known kinds, and bounds connections, the bytes of requests under
// way, and how long each may take.
//
//	client ─▶ gated.Read: length and kind possible? ─ bytes arrive, each taken from the room ─▶ broker ─▶ gated.Write: room again
type gate struct {
	net.Listener
	limits gateLimits
	log    *slog.Logger
	room   *semaphore.Weighted // Of what the requests under way may become.
	large  sync.Pool           // Of buffers for large requests, *[]byte.

	mu     sync.Mutex
	open   int
	silent *list.List // *gated, oldest first: those that have not sent a request yet.
}

type gateLimits struct {
	connections int
	room        int64         // Bytes; see weight.
	produce     int           // The largest produce request.
	other       int           // The largest of any other: names and numbers.
	request     time.Duration // From the first byte of a request to its last, and from a connection to its first request.
	idle        time.Duration // Between two requests.
	answer      time.Duration // Until the client has taken an answer.
}

const (
	// batchLimit is what the broker takes as one batch (its max.message.bytes), and its place in a request.
	batchLimit     = 1_048_588 + 1024
	largestRequest = 32 << 20
)

// gateFor returns the limits for topics with this number of partitions in all: a
// produce request may bring a full batch for each.
func gateFor(partitions int) gateLimits {
	return gateLimits{
		connections: 512,
		room:        256 << 20,
		produce:     min((partitions+1)*batchLimit, largestRequest),
		other:       64 << 10,
		request:     10 * time.Second,
		idle:        10 * time.Minute, // As Kafka's connections.max.idle.ms.
		answer:      time.Minute,
	}
}

// weight is what a request of n bytes may become once it is decoded: its
// smallest parts are of a few bytes, and become structs. Batches stay what they are.
func weight(key int16, n int) int64 {
	if key == int16(kmsg.Produce) {
		return 8 * int64(n)
	}
	return 64 * int64(n)
}

func newGate(ln net.Listener, l gateLimits, log *slog.Logger) *gate {
	return &gate{Listener: ln, limits: l, log: log, room: semaphore.NewWeighted(l.room), silent: list.New()}
}

// Accept waits for the next connection. When there are too many, the one that has been
// silent for longest is closed: Kafka's clients send a request at once.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if k := g.admit(c); k != nil {
			return k, nil
		}
	}
}

func (g *gate) admit(c net.Conn) *gated {
	k := newGated(g, c)
	g.mu.Lock()
	var oldest *gated
	if g.open >= g.limits.connections {
		e := g.silent.Front()
		if e == nil {
			g.mu.Unlock()
			refusals.WithLabelValues("connections").Inc()
			_ = c.Close() // Nothing was said.
			return nil
		}
		oldest = e.Value.(*gated)
	}
	g.open++
	gateConnections.Set(float64(g.open))
	k.place = g.silent.PushBack(k)
	g.mu.Unlock()
	if oldest != nil {
		refusals.WithLabelValues("connections").Inc()
		_ = oldest.Close() // Nothing was said.
	}
	return k
}

// spoke is called when a connection has sent its first request.
func (g *gate) spoke(k *gated) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if k.place != nil {
		g.silent.Remove(k.place)
		k.place = nil
	}
}

func (g *gate) gone(k *gated) {
	g.spoke(k)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	gateConnections.Set(float64(g.open))
}
