package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"pulseboard/gateway/rooms"
	"pulseboard/internal/auth"
	"pulseboard/internal/clock"
	"pulseboard/internal/host"
	"pulseboard/internal/httpapi"
	"pulseboard/internal/service"
	"pulseboard/wire"
)

const (
	drainTimeout      = 5 * time.Second
	shortestReconnect = 500 * time.Millisecond

	// Small, because every connection has one; frames of clients are small.
	readBufferSize  = 512
	writeBufferSize = 4096
	socketBuffer    = 64 << 10
)

// Options are what operators choose of streams.
type Options struct {
	// Build names the page: one that is open and was built otherwise loads itself
	// anew. "" = pages are not compared.
	Build string
	// MaxConnections is how many streams may be open; more are answered 503. 0 = 20,000.
	MaxConnections int
	// MaxPerAddress is how many of them one address may have; more are answered
	// 429. 0 = a quarter of MaxConnections, and all but an eighth for an address
	// that many may share: this machine's, or that of a trusted proxy that names no client.
	MaxPerAddress int
	// Heartbeat is the longest silence of a stream. 0 = 5 s.
	Heartbeat time.Duration
	// HelloTimeout is how long a client may take to say hello, of which a round
	// trip passes before it can: seconds over a bad link. 0 = 20 s.
	HelloTimeout time.Duration
}

// Config is what Streams need. The service fills in the defaults of Options.
type Config struct {
	host.Shared
	Options

	Rooms *rooms.Set // Where dashboards are shown. They must live longer than the Streams.
	Now   func() time.Time
}

// Streams is all connections of this process.
type Streams struct {
	Config
	metrics   *metrics
	upgrader  websocket.Upgrader
	scratches sync.Pool // Of *rooms.Scratch.
	wg        sync.WaitGroup

	mu        sync.Mutex
	clients   map[*client]struct{}
	admission admission
	closing   bool
}

// New returns Streams without connections.
func New(cfg Config) *Streams {
	s := &Streams{Config: cfg, metrics: newMetrics(cfg.Metrics), clients: make(map[*client]struct{}), admission: newAdmission(cfg)}
	s.metrics.limit.Set(float64(cfg.MaxConnections))
	s.upgrader = websocket.Upgrader{
		ReadBufferSize: readBufferSize, WriteBufferSize: writeBufferSize, WriteBufferPool: &sync.Pool{},
		Subprotocols: []string{wire.Subprotocol}, CheckOrigin: func(*http.Request) bool { return true }, Error: refuse, // Open has looked.
	}
	s.scratches.New = func() any { return &rooms.Scratch{Full: cfg.Rooms.FullFrame} }
	return s
}

// Open answers GET /stream/{id}, a WebSocket.
func (s *Streams) Open(c *gin.Context) {
	if !websocket.IsWebSocketUpgrade(c.Request) {
		c.Header("Upgrade", "websocket")
		httpapi.Fail(c, http.StatusUpgradeRequired, "this address is a WebSocket stream, subprotocol "+wire.Subprotocol+"; for readers without WebSocket there is /stream/{dashboard_id}/events")
		return
	}
	if s.foreign(c) {
		return
	}
	// Browsers cannot send the header with a WebSocket: their token comes with the hello.
	var grant auth.Grant
	if bearer := auth.Bearer(c.Request); bearer != "" {
		var ok bool
		if grant, ok = s.admit(c, bearer); !ok {
			return
		}
	}
	leave, ok := s.enter(c)
	if !ok {
		return
	}
	ws, err := s.upgrader.Upgrade(c.Writer, c.Request, c.Writer.Header())
	if err != nil {
		leave()
		s.metrics.refused.WithLabelValues(refusedRequest).Inc()
		return // The upgrader has answered.
	}
	link := newSocket(ws)
	if err := errors.Join(limitBuffer(ws.NetConn()), link.alive()); err != nil {
		s.Log.Debug("a connection is not as it should be", "error", err)
	}
	// This goroutine ends here: what net/http keeps for a request is freed.
	cl := newClient(s, link, c.Param("id"), leave, grant)
	cl.from = s.Guard.From(c.Request)
	s.join(cl, nil)
}

func refuse(w http.ResponseWriter, _ *http.Request, status int, reason error) {
	service.NewProblem(status, strings.TrimPrefix(reason.Error(), "websocket: ")).Write(w)
}

// foreign refuses pages of other sites, which would open streams in a visitor's
// name, as service.Server refuses what changes something.
func (s *Streams) foreign(c *gin.Context) bool {
	if !s.Origins.Foreign(c.Request) {
		return false
	}
	s.metrics.refused.WithLabelValues(refusedOrigin).Inc()
	s.Audit.RefuseRequest(c.Request, "origin")
	service.RefuseForeign(c.Writer, c.Request)
	c.Abort()
	return true
}

// admit checks a token, or answers why it does not let in.
func (s *Streams) admit(c *gin.Context, token string) (grant auth.Grant, ok bool) {
	grant, err := s.Guard.CheckRequest(c.Request, token, auth.View)
	if err != nil {
		s.metrics.refused.WithLabelValues(refusedToken).Inc()
		auth.Refuse(c.Writer, err)
		c.Abort()
	}
	return grant, err == nil
}

// join starts a client. o is what a client asked for that cannot send a hello, nil otherwise.
func (s *Streams) join(c *client, o *rooms.Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		c.release()
		c.link.close() // The gateway ends; the client comes back to another.
		return
	}
	s.clients[c] = struct{}{}
	if o != nil {
		c.handshake(*o, c.grant) // Before it reads: a connection that has ended already must leave its room.
		c.Wake()
	}
	s.wg.Go(c.read)
}

func (s *Streams) leave(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
}

// Run works until ctx ends, then sends the clients away and waits for them.
func (s *Streams) Run(ctx context.Context) {
	for range clock.Every(ctx, max(10*time.Millisecond, min(s.Heartbeat/10, 200*time.Millisecond))) {
		s.checkDeadlines(s.Now())
	}
	s.drain(context.WithoutCancel(ctx))
	s.wg.Wait()
}

func (s *Streams) checkDeadlines(now time.Time) {
	s.mu.Lock()
	var due []*client
	for c := range s.clients {
		if c.isDue(now) {
			due = append(due, c)
		}
	}
	s.mu.Unlock()
	for _, c := range due {
		c.checkDeadlines(now)
	}
}

// drain closes all clients with reconnect times that are spread, and waits for them to
// leave.
func (s *Streams) drain(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	clients := make([]*client, 0, len(s.clients))
	for c := range s.clients {
		clients = append(clients, c)
	}
	s.mu.Unlock()
	spread := time.Second + time.Duration(len(clients))*time.Millisecond
	for _, c := range clients {
		c.end(wire.CloseRestart, "the gateway restarts", shortestReconnect+rand.N(spread))
	}
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for _, c := range clients {
		select {
		case <-c.left:
		case <-ctx.Done():
			c.link.close() // The client has not closed in time.
		}
	}
}

// Admits says why a new stream would be refused, nil = it would not.
func (s *Streams) Admits() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return errors.New("the gateway is ending")
	case s.admission.taken >= s.admission.most:
		return fmt.Errorf("the gateway has %d streams open, all that it may have: see --max-connections", s.admission.most)
	}
	return nil
}
