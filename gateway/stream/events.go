package stream

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pulseboard/gateway/rooms"
	"pulseboard/internal/auth"
	"pulseboard/internal/httpapi"
	"pulseboard/wire"
)

// events is a link of Server-Sent Events: the same messages, for readers without
// WebSocket. What would be in a hello stands in the address.
type events struct{ conn net.Conn }

// The answer ends with the connection. Proxies must not hold it back.
const eventsHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nConnection: close\r\n" +
	"X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\r\n"

// read waits for the end: a reader has nothing more to say.
func (e events) read() ([]byte, error) {
	var b [512]byte
	for {
		if _, err := e.conn.Read(b[:]); err != nil {
			return nil, err
		}
	}
}

func (events) limit(int64) {}

func (events) ping() {} // Heartbeats fail to be written where nobody is left.

func (e events) write(m *rooms.Frame) error {
	if err := e.conn.SetWriteDeadline(time.Now().Add(progressLimit)); err != nil {
		return err
	}
	var head string
	if m.Retry > 0 {
		head = "retry: " + strconv.FormatInt(m.Retry.Milliseconds(), 10) + "\n"
	}
	text := net.Buffers{[]byte(head + "data: "), m.Text, []byte("\n\n")}
	_, err := text.WriteTo(e.conn)
	return err
}

// closeFrame has nothing to add to the close message.
func (e events) closeFrame(int, string) { e.close() }

func (e events) awaitPeerClose() error { return nil }

func (e events) close() { _ = e.conn.Close() } // It is gone, one way or the other.

// OpenEvents answers GET /stream/{id}/events: Server-Sent Events.
func (s *Streams) OpenEvents(c *gin.Context) {
	if s.foreign(c) {
		return
	}
	every, ok := maxHz(c)
	points := 0
	if ok {
		points, ok = mostPoints(c)
	}
	if !ok {
		s.metrics.refused.WithLabelValues(refusedRequest).Inc()
		return
	}
	grant, ok := s.admit(c, auth.Bearer(c.Request))
	if !ok {
		return
	}
	// A close code would not keep such a reader from coming back; 404 does.
	ctx, cancel := context.WithTimeout(c.Request.Context(), viewTimeout)
	_, ok = View(ctx, c, s.Rooms.Views, s.Log)
	cancel()
	if !ok {
		return
	}
	leave, ok := s.enter(c)
	if !ok {
		return
	}
	conn, buffered, err := c.Writer.Hijack()
	if err != nil {
		leave()
		httpapi.Fail(c, http.StatusHTTPVersionNotSupported, "events are streamed over HTTP/1.1")
		return
	}
	if err := limitBuffer(conn); err != nil {
		s.Log.Debug("a connection keeps its buffer", "error", err)
	}
	if _, err = buffered.WriteString(eventsHead); err == nil {
		err = buffered.Flush()
	}
	if err != nil || conn.SetReadDeadline(time.Time{}) != nil {
		leave()
		_ = conn.Close() // It is gone already.
		return
	}
	// Where a stream was is not asked: it begins with snapshots.
	s.join(newClient(s, events{conn}, c.Param("id"), leave, grant), &rooms.Options{Every: every, Points: points, Choice: chosen(c)})
}

// View returns the view of the dashboard that a request names, or answers why there is none.
func View(ctx context.Context, c *gin.Context, views rooms.Views, log *slog.Logger) (v wire.View, ok bool) {
	v, ok, err := views.LoadView(ctx, c.Param("id"))
	switch {
	case err != nil:
		Unreadable(c, log, "dashboard", err)
	case !ok:
		httpapi.Fail(c, http.StatusNotFound, "there is no such dashboard")
	}
	return v, err == nil && ok
}

// Unreadable answers that Redis does not give what is needed, such as the dashboard.
func Unreadable(c *gin.Context, log *slog.Logger, what string, err error) {
	log.Warn("a request cannot be answered", "path", c.Request.URL.Path, "unreadable", what, "error", err)
	c.Header("Retry-After", "1")
	httpapi.Fail(c, http.StatusServiceUnavailable, "the "+what+" cannot be read at the moment")
}

func maxHz(c *gin.Context) (every time.Duration, ok bool) {
	text, given := c.GetQuery("max_hz")
	if !given {
		return 0, true
	}
	hz, err := strconv.ParseFloat(text, 64)
	if err == nil {
		every, ok = interval(hz)
	}
	if !ok {
		httpapi.Fail(c, http.StatusBadRequest, "max_hz is "+strconv.Quote(text)+": it must be a number above 0, such as 0.5")
	}
	return every, ok
}

func mostPoints(c *gin.Context) (points int, ok bool) {
	text, given := c.GetQuery("points")
	if !given {
		return 0, true
	}
	points, err := strconv.Atoi(text)
	if err != nil || points < 1 || points > wire.HistoryLength {
		httpapi.Fail(c, http.StatusBadRequest, fmt.Sprintf("points is %q: it must be a whole number, 1 to %d", text, wire.HistoryLength))
		return 0, false
	}
	return points, true
}

// chosen takes the parameters var-name=value, as in the page's address.
func chosen(c *gin.Context) rooms.Choice {
	chosen := rooms.Choice{}
	for name, values := range c.Request.URL.Query() {
		if name, ok := strings.CutPrefix(name, "var-"); ok {
			chosen.Add(name, values...)
		}
	}
	return chosen
}
