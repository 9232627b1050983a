package gateway

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
)

// places bounds the streams of this process, in all and from one address, before
// they cost anything. Guarded by hub.mu.
type places struct {
	most, mostOfOne int
	taken           int
	of              map[string]int // By address.
}

// enter takes a place for a stream, or answers that there is none. leave gives it back.
func (s *streams) enter(c *gin.Context) (leave func(), ok bool) {
	h, address := s.hub, c.ClientIP()
	reason := h.reserve(address)
	if reason == "" {
		return func() { h.unreserve(address) }, true
	}
	h.metrics.refused.WithLabelValues(reason).Inc()
	c.Header("Retry-After", "5")
	switch reason {
	case refusedAddress:
		problem(c, http.StatusTooManyRequests, fmt.Sprintf(
			"%s has %d streams open, the most that one address may have: see --max-connections-per-address, and --trusted-proxies if that is a proxy", address, h.places.mostOfOne))
	case refusedClosing:
		problem(c, http.StatusServiceUnavailable, "this gateway is ending")
	default:
		problem(c, http.StatusServiceUnavailable, fmt.Sprintf("this gateway has %d streams open, all that it may have: see --max-connections", h.places.most))
	}
	return nil, false
}

func (h *hub) reserve(address string) (refused string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &h.places
	switch {
	case h.closing:
		return refusedClosing
	case p.taken >= p.most:
		return refusedFull
	case p.of[address] >= p.mostOfOne:
		return refusedAddress
	}
	p.taken++
	p.of[address]++
	h.metrics.connections.Set(float64(p.taken))
	return ""
}

func (h *hub) unreserve(address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &h.places
	p.taken--
	if p.of[address]--; p.of[address] == 0 {
		delete(p.of, address)
	}
	h.metrics.connections.Set(float64(p.taken))
}
