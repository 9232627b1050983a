package gateway

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/httpapi"
)

// admission bounds the streams of this process, in all and from one address, before
// they cost anything. Guarded by hub.mu.
type admission struct {
	most      int
	mostOfOne int
	mostNear  int // Of one that many may share.
	taken     int
	of        map[netip.Addr]int
}

func newAdmission(cfg Config) admission {
	p := admission{most: cfg.MaxConnections, mostOfOne: cfg.MaxPerAddress, mostNear: cfg.MaxPerAddress, of: make(map[netip.Addr]int)}
	if cfg.MaxPerAddress == 0 {
		p.mostOfOne, p.mostNear = max(1, p.most/4), max(1, p.most-p.most/8)
	}
	return p
}

// enter admits a stream, or answers why not. leave ends its admission.
func (s *streams) enter(c *gin.Context) (leave func(), ok bool) {
	h, address := s.hub, s.proxies.Client(c.Request)
	limit := h.admission.mostOfOne // It never changes.
	if s.proxies.Near(address) {
		limit = h.admission.mostNear
	}
	reason := h.reserve(address, limit)
	if reason == "" {
		return func() { h.unreserve(address) }, true
	}
	h.metrics.refused.WithLabelValues(reason).Inc()
	c.Header("Retry-After", "5")
	switch reason {
	case refusedAddress:
		h.audit.RefuseRequest(c.Request, "rate")
		httpapi.Fail(c, http.StatusTooManyRequests, fmt.Sprintf(
			"%s has %d streams open, the most that one address may have: see --max-connections-per-address, and --trusted-proxies if that is a proxy", address, limit))
	case refusedClosing:
		httpapi.Fail(c, http.StatusServiceUnavailable, "this gateway is ending")
	default:
		httpapi.Fail(c, http.StatusServiceUnavailable, fmt.Sprintf("this gateway has %d streams open, all that it may have: see --max-connections", h.admission.most))
	}
	return nil, false
}

func (h *hub) reserve(address netip.Addr, limit int) (refused string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &h.admission
	switch {
	case h.closing:
		return refusedClosing
	case p.taken >= p.most:
		return refusedFull
	case p.of[address] >= limit:
		return refusedAddress
	}
	p.taken++
	p.of[address]++
	h.metrics.connections.Set(float64(p.taken))
	return ""
}

func (h *hub) unreserve(address netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &h.admission
	p.taken--
	if p.of[address]--; p.of[address] == 0 {
		delete(p.of, address)
	}
	h.metrics.connections.Set(float64(p.taken))
}
