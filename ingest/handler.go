package ingest

import (
	"compress/gzip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/zstd"

	"pulseboard/internal/auth"
	"pulseboard/internal/service"
	"pulseboard/metric"
)

//go:embed openapi.yaml
var openAPI []byte

const (
	maxIdempotencyKey = 128
	jsonType          = "application/json"
	linesType         = "application/x-ndjson"
	busyRetryAfter    = 1 // Seconds.
	awayRetryAfter    = 2
)

func (s *Service) routes() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	// nil has no address that could be wrong.
	_ = e.SetTrustedProxies(nil)
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.Use(s.metrics.count, gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, what any) {
		s.config.Log.Error("a request ended in a panic", "path", c.Request.URL.Path, "panic", what)
		fail(c, http.StatusInternalServerError, "ingest made a mistake with this request; its log says more")
	}))
	e.NoRoute(func(c *gin.Context) {
		fail(c, http.StatusNotFound, "there is nothing at this path; events go to POST /ingest")
	})
	e.NoMethod(func(c *gin.Context) {
		fail(c, http.StatusMethodNotAllowed, "this path does not take "+c.Request.Method+"; events are sent with POST")
	})
	e.POST("/ingest", s.config.Guard.Gin(auth.Ingest), s.ingest)
	e.GET("/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openAPI) })
	return e
}

// fail answers with a problem document.
func fail(c *gin.Context, status int, detail string, errs ...service.ProblemError) {
	c.Abort()
	service.NewProblem(status, detail, errs...).Write(c.Writer)
}

// failLater answers a request that is worth repeating.
func failLater(c *gin.Context, status, after int, detail string) {
	c.Header("Retry-After", strconv.Itoa(after))
	fail(c, status, detail)
}

func (s *Service) ingest(c *gin.Context) {
	lines, ok := contentType(c)
	if !ok {
		return
	}
	key := c.GetHeader("Idempotency-Key")
	if len(key) > maxIdempotencyKey || key == "" && c.Request.Header["Idempotency-Key"] != nil {
		fail(c, http.StatusBadRequest, fmt.Sprintf("Idempotency-Key must have 1 to %d characters", maxIdempotencyKey))
		return
	}
	text, ok := s.read(c)
	defer text.release()
	if !ok {
		return
	}
	batch, ok := s.decode(c, text.text, lines)
	if !ok {
		return
	}
	s.store(c, batch, requestID(key, text.text))
}

func contentType(c *gin.Context) (lines, ok bool) {
	t, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	switch {
	case err == nil && t == jsonType:
		return false, true
	case err == nil && t == linesType:
		return true, true
	}
	fail(c, http.StatusUnsupportedMediaType, fmt.Sprintf("the Content-Type is %.80q: it must be %s or %s", c.GetHeader("Content-Type"), jsonType, linesType))
	return false, false
}

// read takes the body, decompressed. What it returns must be released in any case.
func (s *Service) read(c *gin.Context) (*body, bool) {
	limit := s.config.MaxBody
	r, length := io.Reader(c.Request.Body), c.Request.ContentLength
	none := &body{budget: s.budget}
	switch encoding := strings.ToLower(c.GetHeader("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			fail(c, http.StatusBadRequest, "the body is not gzip: "+err.Error())
			return none, false
		}
		r, length = z, -1
	case "zstd":
		// One thread and little memory: bodies are small and many.
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(limit)))
		if err != nil {
			fail(c, http.StatusBadRequest, "the body is not zstd: "+err.Error())
			return none, false
		}
		defer z.Close()
		r, length = z, -1
	default:
		fail(c, http.StatusUnsupportedMediaType, fmt.Sprintf("the Content-Encoding is %.80q: it must be gzip, zstd or absent", encoding))
		return none, false
	}
	b, err := s.budget.read(r, length, limit)
	switch {
	case errors.Is(err, errTooLarge), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		fail(c, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes: send the events in several requests", limit))
	case errors.Is(err, errBusy):
		s.metrics.busy.Inc()
		failLater(c, http.StatusTooManyRequests, busyRetryAfter, "more events are waiting for Kafka than this node may hold: send the request again later; nothing of it was stored")
	case err != nil:
		fail(c, http.StatusBadRequest, "the body cannot be read: "+err.Error())
	case len(b.text) == 0:
		fail(c, http.StatusBadRequest, "the body is empty: send an event, an array of events or {\"events\":[…]}")
	default:
		return b, true
	}
	return b, false
}

func (s *Service) decode(c *gin.Context, text []byte, lines bool) (*metric.Batch, bool) {
	var batch *metric.Batch
	var err error
	if lines {
		batch, err = metric.DecodeLines(text, s.config.MaxEvents)
	} else {
		d := s.decoders.Get().(*metric.Decoder)
		batch, err = d.Request(text, s.config.MaxEvents)
		s.decoders.Put(d)
	}
	var fault *metric.Fault
	switch {
	case errors.Is(err, metric.ErrTooMany):
		fail(c, http.StatusRequestEntityTooLarge, fmt.Sprintf("more than %d events: send them in several requests", s.config.MaxEvents))
	case errors.As(err, &fault):
		fail(c, http.StatusBadRequest, "the body is not JSON: "+fault.Detail, service.ProblemError{Code: fault.Code, Detail: fault.Detail})
	case err != nil:
		fail(c, http.StatusBadRequest, err.Error())
	default:
		return batch, true
	}
	return nil, false
}

// store brings the good events of batch to Kafka and answers.
func (s *Service) store(c *gin.Context, batch *metric.Batch, id string) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.config.Patience)
	defer cancel()
	v := &verdicts{faults: batch.Faults}
	var done sync.WaitGroup
	records := s.records(ctx, batch, id, v, &done)
	for _, r := range records {
		r.traceparent = traceparent(c)
	}
	if len(records) > 0 {
		done.Add(len(records))
		if err := s.producer.put(ctx, records); err != nil {
			// Nothing was sent.
			s.metrics.notAcknowledged.Add(float64(len(batch.Events)))
			failLater(c, http.StatusServiceUnavailable, awayRetryAfter, "nothing was stored: "+err.Error())
			return
		}
		done.Wait()
	}
	for _, r := range records {
		if r.err != nil {
			v.miss(r)
		}
	}
	s.answer(c, v, batch.N)
}

// records turns events into records, leaving out those whose time is out of bounds.
func (s *Service) records(ctx context.Context, batch *metric.Batch, id string, v *verdicts, done *sync.WaitGroup) []*record {
	// Whole milliseconds, as in the record: the pipeline judges by what it reads there.
	arrival := s.now().Truncate(time.Millisecond)
	var records []*record
	for _, g := range split(batch.Events, batch.Index) {
		g.inTime(s.config.Limits, arrival.UnixMilli(), v.reject)
		if len(g.events) == 0 {
			continue
		}
		records = append(records, &record{
			ctx: ctx, metric: g.events[0].Metric, stamp: arrival, events: g.index, done: done,
			id:    id + "-" + strconv.Itoa(g.chunk),
			value: metric.AppendRecord(make([]byte, 0, g.bytes), g.events[0].Metric, g.events),
		})
	}
	return records
}

func (s *Service) answer(c *gin.Context, v *verdicts, n int) {
	for _, f := range v.faults {
		if f.Code != metric.CodeNotAcknowledged {
			s.metrics.rejected.WithLabelValues(f.Code).Inc()
		}
	}
	a := v.answer(n)
	s.metrics.accepted.Add(float64(a.Accepted))
	s.metrics.notAcknowledged.Add(float64(len(v.unknown)))
	switch {
	case len(v.unknown) > 0:
		c.Header("Retry-After", strconv.Itoa(awayRetryAfter))
		refuse(c, http.StatusServiceUnavailable, fmt.Sprintf("Kafka did not acknowledge %d of %d events: send those of not_acknowledged_ranges again", len(v.unknown), n), a)
	case a.Accepted == 0 && n > 0:
		refuse(c, http.StatusBadRequest, "none of the events can be counted", a)
	default:
		c.JSON(http.StatusOK, a)
	}
}

func refuse(c *gin.Context, status int, detail string, a *answer) {
	// Before the body, since Gin sets its own only when there is none.
	c.Header("Content-Type", "application/problem+json")
	c.JSON(status, problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, answer: a})
}

// traceparent returns the header of that name if it has the form of W3C Trace
// Context, version 00.
func traceparent(c *gin.Context) string {
	t := c.GetHeader("traceparent")
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
