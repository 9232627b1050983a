package gateway

import (
	_ "embed" // For the API's description.
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"pulseboard/internal/auth"
	"pulseboard/internal/httpapi"
	"pulseboard/internal/service"
	"pulseboard/wire"
)

//go:embed openapi.yaml
var openapi []byte

const (
	// Small, because every connection has one; frames of clients are small.
	readBufferSize  = 512
	writeBufferSize = 4096
	socketBuffer    = 64 << 10
)

func routes(h *hub, cfg Config) http.Handler {
	page := cfg.Page
	if page == nil {
		page = service.Nothing("/openapi.yaml lists what there is")
	}
	r := httpapi.New(httpapi.Config{Name: "the gateway", Log: cfg.Log, NotFound: page})
	s := &streams{hub: h, log: cfg.Log, origins: cfg.Origins, proxies: cfg.Proxies}
	s.upgrader = websocket.Upgrader{
		ReadBufferSize: readBufferSize, WriteBufferSize: writeBufferSize, WriteBufferPool: &sync.Pool{},
		Subprotocols: []string{wire.Subprotocol}, CheckOrigin: func(*http.Request) bool { return true }, Error: refuse, // open has looked.
	}
	r.GET("/stream/:id", s.open)
	r.GET("/stream/:id/events", s.openEvents)
	httpapi.Read(r, "/dashboards/:id/widgets/:wid/snapshot", httpapi.Admit(h.guard, auth.View), h.getSnapshot)
	httpapi.Document(r, openapi)
	return r
}

// streams opens WebSocket connections.
type streams struct {
	hub      *hub
	log      *slog.Logger
	origins  service.Origins
	proxies  service.Proxies
	upgrader websocket.Upgrader
}

func (s *streams) open(c *gin.Context) {
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
		var err error
		if grant, err = s.hub.guard.CheckRequest(c.Request, bearer, auth.View); err != nil {
			s.hub.metrics.refused.WithLabelValues(refusedToken).Inc()
			auth.Refuse(c.Writer, err)
			c.Abort()
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
		s.hub.metrics.refused.WithLabelValues(refusedRequest).Inc()
		return // The client has been told.
	}
	link := newSocket(ws)
	if err := errors.Join(limitBuffer(ws.NetConn()), link.alive()); err != nil {
		s.log.Debug("a connection is not as it should be", "error", err)
	}
	// This goroutine ends here: what net/http keeps for a request is freed.
	cl := newClient(s.hub, link, c.Param("id"), leave, grant)
	cl.from = s.hub.guard.From(c.Request)
	if !s.hub.join(cl, nil) {
		leave()
		link.close() // The gateway ends; the client comes back to another.
	}
}

func refuse(w http.ResponseWriter, _ *http.Request, status int, reason error) {
	service.NewProblem(status, strings.TrimPrefix(reason.Error(), "websocket: ")).Write(w)
}

// foreign refuses pages of other sites, which would open streams in a visitor's
// name, as service.Server refuses what changes something.
func (s *streams) foreign(c *gin.Context) bool {
	if !s.origins.Foreign(c.Request) {
		return false
	}
	s.hub.metrics.refused.WithLabelValues(refusedOrigin).Inc()
	s.hub.audit.RefuseRequest(c.Request, "origin")
	service.RefuseForeign(c.Writer, c.Request)
	c.Abort()
	return true
}
