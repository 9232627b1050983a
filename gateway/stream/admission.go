package stream

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/httpapi"
)

// admission bounds the streams of this process, in all and from one address, before
// they cost anything. Guarded by Streams.mu.
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
func (s *Streams) enter(c *gin.Context) (leave func(), ok bool) {
	address := s.Proxies.Client(c.Request)
	limit := s.admission.mostOfOne // It never changes.
	if s.Proxies.Near(address) {
		limit = s.admission.mostNear
	}
	reason := s.reserve(address, limit)
	if reason == "" {
		return func() { s.unreserve(address) }, true
	}
	s.metrics.refused.WithLabelValues(reason).Inc()
	c.Header("Retry-After", "5")
	switch reason {
	case refusedAddress:
		s.Audit.RefuseRequest(c.Request, "rate")
		httpapi.Fail(c, http.StatusTooManyRequests, fmt.Sprintf(
			"%s has %d streams open, the most that one address may have: see --max-connections-per-address, and --trusted-proxies if that is a proxy", address, limit))
	case refusedClosing:
		httpapi.Fail(c, http.StatusServiceUnavailable, "this gateway is ending")
	default:
		httpapi.Fail(c, http.StatusServiceUnavailable, fmt.Sprintf("this gateway has %d streams open, all that it may have: see --max-connections", s.admission.most))
	}
	return nil, false
}

func (s *Streams) reserve(address netip.Addr, limit int) (refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.admission
	switch {
	case s.closing:
		return refusedClosing
	case p.taken >= p.most:
		return refusedFull
	case p.of[address] >= limit:
		return refusedAddress
	}
	p.taken++
	p.of[address]++
	s.metrics.connections.Set(float64(p.taken))
	return ""
}

func (s *Streams) unreserve(address netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.admission
	p.taken--
	if p.of[address]--; p.of[address] == 0 {
		delete(p.of, address)
	}
	s.metrics.connections.Set(float64(p.taken))
}
