package ingest

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/auth"
	"pulseboard/internal/service"
	"pulseboard/metric"
)

// RecentPath is where a node shows some of what it took and refused last, to people who set up senders.
const RecentPath = "/ingest/recent"

// Bounds of what is shown.
const (
	recentKept  = 50  // Of each kind.
	recentEvery = 100 // Milliseconds from one that is looked at to the next: a flood costs no more than a trickle.
	recentTags  = 8
	recentText  = 300 // Bytes of a text.
)

// recent is some of the last events that were taken, and of what was refused.
type recent struct {
	taken, refused ring
}

// ring keeps the newest of what it is told.
type ring struct {
	next atomic.Int64 // Epoch ms from which on another one is wanted.

	mu  sync.Mutex
	all []seen // The oldest first.
}

// seen is an event that was taken, or a refusal.
type seen struct {
	Time   int64  `json:"time"` // Arrival, epoch ms; of several the last.
	Format string `json:"format"`

	// Of an event.
	Metric string      `json:"metric_name,omitempty"`
	Kind   string      `json:"kind,omitempty"`
	Value  *float64    `json:"value,omitempty"` // Nil of histograms and ends of series.
	Tags   metric.Tags `json:"tags,omitempty"`
	Events int         `json:"events,omitempty"` // Of its request, which were accepted.

	// Of a refusal.
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
	Times  int    `json:"times,omitempty"` // How often it was seen.
}

// wants reports whether another one is wanted now (epoch ms), which the caller then has to add. It is all that most requests
// do here.
func (r *ring) wants(now int64) bool {
	next := r.next.Load()
	return (now >= next || now < next-recentEvery) && r.next.CompareAndSwap(next, now+recentEvery)
}

// add keeps s. A refusal that is there already is only counted and moves to the end.
func (r *ring) add(s seen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	drop := 0
	if len(r.all) < recentKept {
		drop = -1
	}
	for i := range r.all {
		if o := &r.all[i]; s.Code != "" && o.Code == s.Code && o.Detail == s.Detail && o.Format == s.Format {
			s.Times += o.Times
			drop = i
		}
	}
	if drop >= 0 {
		r.all = append(r.all[:drop], r.all[drop+1:]...)
	}
	r.all = append(r.all, s)
}

// newestFirst returns what is kept.
func (r *ring) newestFirst() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]seen, 0, len(r.all)) // Not null.
	for i := len(r.all) - 1; i >= 0; i-- {
		all = append(all, r.all[i])
	}
	return all
}

// event is what is shown of an event. It is a copy: the event may be parts of a body.
func (r *recent) event(now int64, format string, e *metric.Event) seen {
	s := seen{Time: now, Format: format, Metric: shown(e.Metric), Kind: e.Kind.String()}
	if e.Histogram == nil && !e.Stale {
		v := e.Value
		s.Value = &v
	}
	for _, t := range e.Tags[:min(len(e.Tags), recentTags)] {
		s.Tags = append(s.Tags, metric.Tag{Key: shown(t.Key), Value: shown(t.Value)})
	}
	return s
}

// refuse shows why something was refused, if one is wanted now.
func (r *recent) refuse(now int64, format, code, detail string) {
	if r.refused.wants(now) {
		r.refused.add(seen{Time: now, Format: format, Code: code, Detail: shown(detail), Times: 1})
	}
}

// shown is a copy of a text, cut where it is long.
func shown(text string) string {
	if len(text) <= recentText {
		return strings.Clone(text)
	}
	end := recentText
	for ; end > 0 && !utf8.RuneStart(text[end]); end-- {
	}
	return text[:end] + "…"
}

// showRecent answers with what was taken and refused last. It shows values and tags, as dashboards do, so it needs the scope that
// those need: a producer has no business with the events of others.
func (s *Service) showRecent(c *gin.Context) {
	if _, err := s.config.Guard.CheckRequest(c.Request, auth.Token(c.Request, "Bearer"), auth.View); err != nil {
		service.NewProblem(auth.Challenge(c.Writer.Header(), err)).Write(c.Writer)
		return
	}
	answer := struct {
		Now     int64    `json:"now"`
		Formats []string `json:"formats"`
		StatsD  string   `json:"statsd,omitempty"` // Where it is listened to.
		Taken   []seen   `json:"accepted"`
		Refused []seen   `json:"refused"`
	}{Now: s.now().UnixMilli(), Taken: s.recent.taken.newestFirst(), Refused: s.recent.refused.newestFirst()}
	for _, f := range formats() {
		answer.Formats = append(answer.Formats, f.name)
	}
	if s.statsd != nil {
		answer.StatsD = s.statsd.String()
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, answer)
}

func httpCode(status int) string { return "HTTP " + strconv.Itoa(status) }
