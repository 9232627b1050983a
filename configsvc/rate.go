package configsvc

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"pulseboard/internal/httpapi"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"
)

// rates bounds how many edits a second one editor makes: a token, or an address
// where there are none. A larger document costs more to check, keep and publish,
// so it counts as several edits.
type rates struct {
	perSecond float64 // 0 = no bound.

	mu sync.Mutex
	of map[string]*rate.Limiter
}

const (
	editBurst    = 10 // Seconds of the rate that may come at once.
	bytesPerEdit = 32 << 10
	maxEditors   = 10_000 // That are remembered.
)

func (r *rates) limiter(editor string, now time.Time) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.of[editor]
	if l == nil {
		if len(r.of) >= maxEditors {
			r.forget(now)
		}
		l = rate.NewLimiter(rate.Limit(r.perSecond), r.burst())
		r.of[editor] = l
	}
	return l
}

// burst is at least what the largest document costs.
func (r *rates) burst() int { return max(int(editBurst*r.perSecond), 1+maxDocument/bytesPerEdit) }

// forget drops the editors whose limiter is full again, as a new one would be; all, when
// there are none.
func (r *rates) forget(now time.Time) {
	for editor, l := range r.of {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(r.of, editor)
		}
	}
	if len(r.of) >= maxEditors {
		clear(r.of)
	}
}

// take counts an edit and returns 0, or how long the editor must wait, in which
// case nothing is counted.
func (r *rates) take(editor string, now time.Time) time.Duration {
	if r.perSecond == 0 {
		return 0
	}
	at := r.limiter(editor, now).ReserveN(now, 1)
	wait := at.DelayFrom(now)
	if wait > 0 {
		at.CancelAt(now)
	}
	return wait
}

// owe counts edits that are known only now; the editor's next ones wait for them.
func (r *rates) owe(editor string, edits int, now time.Time) {
	if r.perSecond > 0 && edits > 0 {
		r.limiter(editor, now).ReserveN(now, edits)
	}
}

// editor is the token or address that an edit counts for.
func (s *Service) editor(c *gin.Context) string {
	if name := by(c); name != "" {
		return "token " + name
	}
	return s.proxies.Address(c.Request)
}

// limitEdits answers 429 when an editor makes too many edits; ok is false then.
func (s *Service) limitEdits(c *gin.Context) (ok bool) {
	wait := s.rates.take(s.editor(c), time.Now())
	if wait == 0 {
		return true
	}
	s.publisher.metrics.limited.Inc()
	s.audit.RefuseRequest(c.Request, "rate")
	seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
	c.Header("Retry-After", seconds)
	httpapi.Fail(c, http.StatusTooManyRequests, fmt.Sprintf(
		"more than %g edits a second come from one token, or one address: try again in %s s; several widgets can be changed in one PATCH of the dashboard", s.rates.perSecond, seconds))
	return false
}
