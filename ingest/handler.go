package ingest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/bodies"
	"pulseboard/internal/httpapi"
	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/wire"
)

//go:embed openapi.yaml
var openAPI []byte

const (
	maxIdempotencyKey     = 128
	busyRetryAfter        = 1 // Seconds.
	unavailableRetryAfter = 2
)

func (s *Service) routes() http.Handler {
	e := httpapi.New(httpapi.Config{
		Name: "ingest", Log: s.config.Log, Count: s.metrics.count,
		NotFound: service.Nothing("events go by POST to " + strings.Join(Paths(), ", ")),
	})
	for _, f := range formats() {
		for _, path := range f.paths {
			e.POST(path, s.serve(f))
		}
	}
	s.answerProbes(e)
	e.GET(RecentPath, s.showRecent)
	e.HEAD(RecentPath, s.showRecent)
	httpapi.Document(e, openAPI)
	return shared(&s.config.Origins, Paths(), e)
}

func setRetryAfter(c *gin.Context, seconds int) { c.Header("Retry-After", strconv.Itoa(seconds)) }

// tooMany is the answer to more events than a request may hold.
func tooMany(most int) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("more than %d events: send them in several requests", most))
}

func idempotencyKey(c *gin.Context) (string, *refusal) {
	key := c.GetHeader("Idempotency-Key")
	if len(key) > maxIdempotencyKey || key == "" && c.Request.Header["Idempotency-Key"] != nil {
		return "", refuse(http.StatusBadRequest, fmt.Sprintf("Idempotency-Key must have 1 to %d characters", maxIdempotencyKey))
	}
	return key, nil
}

// read takes the body, decompressed. What it returns must be released in any case.
func (s *Service) read(c *gin.Context, hint, token string) (*bodies.Body, *refusal) {
	limit := s.config.MaxBody
	r, length := io.Reader(c.Request.Body), c.Request.ContentLength
	none, packed := new(bodies.Body), false
	switch encoding := strings.ToLower(c.GetHeader("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip": // The same, of RFC 9110, 8.4.1.3.
		z := s.gzips.Get().(*gzip.Reader)
		defer s.gzips.Put(z)
		if err := z.Reset(r); err != nil {
			return none, s.unreadable(err, "the body is not gzip: ")
		}
		r, length = z, -1
	case "zstd":
		z := s.zstds.Get().(*zstd.Decoder)
		defer s.zstds.Put(z)
		if err := z.Reset(r); err != nil {
			return none, s.unreadable(err, "the body is not zstd: ")
		}
		// The body is not to be held by a spare decoder.
		defer func() { _ = z.Reset(nil) }()
		r, length = z, -1
	case "snappy":
		packed = true
	default:
		return none, refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("the Content-Encoding is %.80q: it must be gzip, zstd, snappy or absent", encoding))
	}
	client := s.config.Proxies.Client(c.Request)
	b, err := s.budget.Read(r, length, limit, bodies.Sender{Address: client, Token: token, Near: s.config.Proxies.Near(client)})
	if err == nil && packed && len(b.Text) > 0 {
		err = unpack(b, limit)
	}
	switch {
	case errors.Is(err, bodies.ErrTooLarge), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return b, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes: send the events in several requests", limit))
	case errors.Is(err, bodies.ErrFull):
		return b, s.busy(s.metrics.busyAll, "more events are waiting for Kafka than this node may hold")
	case errors.Is(err, bodies.ErrAddress):
		return b, s.busy(s.metrics.busyAddress, fmt.Sprintf("requests of %s hold as much of this node's memory as those of one address may while others want some", client))
	case errors.Is(err, bodies.ErrToken):
		return b, s.busy(s.metrics.busyToken, fmt.Sprintf("requests with the token %q hold as much of this node's memory as those of one token may while others want some", token))
	case err != nil:
		return b, s.unreadable(err, "the body cannot be read: ")
	case len(b.Text) == 0 && hint != "":
		return b, refuse(http.StatusBadRequest, "the body is empty: "+hint)
	}
	return b, nil
}

// unpack replaces a body that is a block of Snappy, which says first how long it is unpacked.
func unpack(b *bodies.Body, limit int64) error {
	size, err := s2.DecodedLen(b.Text)
	switch {
	case err != nil:
		return fmt.Errorf("it is not a block of Snappy: %w", err)
	case int64(size) > limit:
		return bodies.ErrTooLarge
	}
	err = b.Unpack(int64(size), s2.Decode)
	if errors.Is(err, s2.ErrCorrupt) || errors.Is(err, s2.ErrUnsupported) {
		return fmt.Errorf("it is not a block of Snappy: %w", err)
	}
	return err
}

func (s *Service) busy(count prometheus.Counter, why string) *refusal {
	count.Inc()
	return &refusal{status: http.StatusTooManyRequests, after: busyRetryAfter, detail: why + ": send the request again later; nothing of it was stored"}
}

func (s *Service) unreadable(err error, what string) *refusal {
	if errors.Is(err, service.ErrSlowBody) {
		return refuse(http.StatusRequestTimeout, service.ErrSlowBody.Error()+"; nothing of it was stored")
	}
	return refuse(http.StatusBadRequest, what+err.Error())
}

// store brings the good events of a request to Kafka, and calls packed when they are in records.
func (s *Service) store(c *gin.Context, counts *formatMetrics, packed func(faults bool), batch *wire.Batch, id string) (*outcome, *refusal) {
	o, r := s.write(c.Request.Context(), traceparent(c.GetHeader(traceHeader)), counts, packed, batch, id)
	if r == nil && o.unknown > 0 {
		setRetryAfter(c, unavailableRetryAfter)
	}
	return o, r
}

// write is store of a batch that came in any way. trace is the header traceparent, "" = none.
func (s *Service) write(ctx context.Context, trace string, counts *formatMetrics, packed func(faults bool), batch *wire.Batch, id string) (*outcome, *refusal) {
	ctx, cancel := context.WithTimeout(ctx, s.config.DeliveryTimeout)
	defer cancel()
	w, r := s.begin(ctx, trace, counts, packed, batch, id)
	if r != nil {
		return nil, r
	}
	return w.end(), nil
}

// writing is a batch on its way to Kafka.
type writing struct {
	s       *Service
	counts  *formatMetrics
	v       verdicts
	packer  *packer
	records []*record
	done    sync.WaitGroup // Of records.
	n       int            // Events of the batch.
	arrival int64
	show    *seen
}

// begin starts to write a batch, which is wanted until ctx ends, and calls packed when its good events are in records. Batches of one
// goroutine are written in their order. What it returns must be ended.
func (s *Service) begin(ctx context.Context, trace string, counts *formatMetrics, packed func(faults bool), batch *wire.Batch, id string) (*writing, *refusal) {
	// Whole milliseconds, as in the record: the pipeline judges by what it reads there.
	w := &writing{s: s, counts: counts, v: verdicts{faults: batch.Faults}, packer: s.packers.Get().(*packer), n: batch.N, arrival: s.now().UnixMilli()}
	w.packer.due = s.sayings.due(w.arrival, batch.Said, w.packer.due)
	w.records = w.packer.pack(batch, s.config.Limits, w.arrival, w.v.reject)
	counts.cut.Add(float64(batch.Cut))
	if len(batch.Events) > 0 && s.recent.taken.wants(w.arrival) {
		e := s.recent.event(w.arrival, counts.format, &batch.Events[0])
		w.show = &e
	}
	packed(len(w.v.faults) > 0)
	if len(w.records) > 0 {
		w.done.Add(len(w.records))
		for _, r := range w.records {
			r.ctx, r.id, r.traceparent, r.stamp, r.done = ctx, id, trace, w.arrival, &w.done //nolint:fatcontext // Each record has the request's.
		}
		if err := s.producer.enqueue(ctx, w.records); err != nil {
			// Nothing was sent.
			counts.notAcknowledged.Add(float64(w.n - len(w.v.faults)))
			w.giveBack()
			return nil, &refusal{status: http.StatusServiceUnavailable, after: unavailableRetryAfter, detail: "nothing was stored: " + err.Error()}
		}
	}
	return w, nil
}

// giveBack is called once all records are decided: nobody else looks at them then.
func (w *writing) giveBack() {
	w.packer.trim()
	w.s.packers.Put(w.packer)
}

// end waits until Kafka has acknowledged everything or ctx has ended.
func (w *writing) end() *outcome {
	w.done.Wait()
	defer w.giveBack()
	s, v, counts := w.s, &w.v, w.counts
	for _, r := range w.records {
		if r.err != nil {
			v.miss(r)
		}
	}
	for _, f := range v.faults {
		if f.Code != metric.CodeNotAcknowledged {
			counts.rejected.WithLabelValues(f.Code).Inc()
		}
	}
	o := &outcome{answer: v.answer(w.n), n: w.n, unknown: len(v.unknown)}
	counts.accepted.Add(float64(o.Accepted))
	counts.notAcknowledged.Add(float64(o.unknown))
	if w.show != nil && o.Accepted > 0 {
		w.show.Events = o.Accepted
		s.recent.taken.add(*w.show)
	}
	if len(o.Errors) > 0 {
		s.recent.refuse(w.arrival, counts.format, o.Errors[0].Code, o.Errors[0].Detail)
	}
	return o
}

// traceparent returns a header of that name if it has the form of W3C Trace
// Context, version 00, else "".
func traceparent(t string) string {
	const form = "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx"
	if len(t) != len(form) {
		return ""
	}
	for i := range len(form) {
		hexDigit := t[i] >= '0' && t[i] <= '9' || t[i] >= 'a' && t[i] <= 'f'
		if form[i] == 'x' && !hexDigit || form[i] != 'x' && t[i] != form[i] {
			return ""
		}
	}
	return t
}
