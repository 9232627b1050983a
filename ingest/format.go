package ingest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/auth"
	"pulseboard/metric"
	"pulseboard/wire"
)

// format is one way of sending events. A further one is a file with one of these,
// and a line in formats: what lies between the reading of a body and the answer is
// the same for all, and routes and help follow from the list. openapi.yaml and
// deploy/nginx/nginx.conf have its paths too, and tests compare them.
type format struct {
	name    string   // Label of the metrics.
	paths   []string // Each takes POST.
	about   string   // What the paths take, for the help of the command.
	hint    string   // What a body holds, for the answer to an empty one; "" = that is a request of nothing.
	schemes []string // Of the header Authorization, in which a token may come.
	// open checks the head of a request. What it returns handles the body.
	open func(*Service, *gin.Context) (incoming, *refusal)
	// refuse answers a request of which nothing was stored.
	refuse func(*gin.Context, *refusal)
}

func formats() []*format {
	return []*format{jsonFormat(), influxFormat(), remoteWriteFormat(), otlpFormat(), telegrafFormat(), collectdFormat(), vectorFormat(), fluentBitFormat()}
}

// Paths are those that events are sent to, of all formats.
func Paths() []string {
	var all []string
	for _, f := range formats() {
		all = append(all, f.paths...)
	}
	return all
}

// Routes are all paths of the service but that of its description: Paths, RecentPath, and what clients of InfluxDB ask.
func Routes() []string {
	all := append(Paths(), RecentPath)
	for _, p := range probes() {
		all = append(all, p.path)
	}
	return all
}

// Usage lists the paths and what they take, a line for each format, for the help of commands.
func Usage() string {
	var b strings.Builder
	for _, f := range formats() {
		fmt.Fprintf(&b, "  %-22s POST: %s; Authorization: %s TOKEN\n", strings.Join(f.paths, ", "), f.about, strings.Join(f.schemes, " or "))
	}
	return b.String()
}

// incoming is a request of one format.
type incoming interface {
	// decode reads a body that is not empty and may hold so many events. What it returns is valid until release.
	decode(text []byte, most int) (*wire.Batch, *refusal)
	// id is what the ids of the records begin with.
	id(key string, text []byte) string
	// release gives back what decode has used, before Kafka is waited for: requests
	// that wait are many. With faults their answer will tell of events.
	release(faults bool)
	// answer writes what became of the events.
	answer(*gin.Context, *outcome)
}

// refusal is why nothing of a request was stored.
type refusal struct {
	status int
	after  int // Seconds until a repetition is worthwhile; 0 = it is not.
	fault  *metric.Fault
	detail string
}

func refuse(status int, detail string) *refusal { return &refusal{status: status, detail: detail} }

// outcome is what became of a request's events.
type outcome struct {
	*answer
	n       int
	unknown int // Of rejected: may be stored or not.
}

func (o *outcome) status() int {
	switch {
	case o.unknown > 0:
		return http.StatusServiceUnavailable
	case o.Accepted == 0 && o.n > 0:
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// serve handles the requests of one format.
func (s *Service) serve(f *format) gin.HandlerFunc {
	counts := s.metrics.of(f.name)
	return func(c *gin.Context) {
		if r := s.handle(f, counts, c); r != nil {
			if r.status == http.StatusTooManyRequests {
				s.config.Audit.RefuseRequest(c.Request, "rate")
			}
			s.recent.refuse(s.now().UnixMilli(), f.name, httpCode(r.status), r.detail)
			if r.after > 0 {
				setRetryAfter(c, r.after)
			}
			f.refuse(c, r)
		}
	}
}

func (s *Service) handle(f *format, counts *formatMetrics, c *gin.Context) *refusal {
	grant, err := s.config.Guard.CheckRequest(c.Request, auth.Token(c.Request, f.schemes...), auth.Ingest)
	if err != nil {
		return refuse(auth.Challenge(c.Writer.Header(), err))
	}
	in, r := f.open(s, c)
	if r != nil {
		return r
	}
	key, r := idempotencyKey(c)
	if r != nil {
		return r
	}
	text, r := s.read(c, f.hint, grant.Name())
	defer text.Release()
	if r != nil {
		return r
	}
	batch, r := in.decode(text.Text, s.config.MaxEvents)
	if r != nil {
		in.release(false)
		return r
	}
	// What is needed no more while Kafka is waited for.
	packed := func(faults bool) {
		in.release(faults)
		text.Free()
	}
	o, r := s.store(c, counts, packed, batch, in.id(key, text.Text))
	if r != nil {
		return r
	}
	in.answer(c, o)
	return nil
}
