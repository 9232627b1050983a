package ingest

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/httpapi"
	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/wire"
)

const (
	jsonType  = "application/json"
	linesType = "application/x-ndjson"
)

// jsonFormat is POST /ingest of docs/protocol.md.
func jsonFormat() *format {
	decoders := newSpare(wire.NewDecoder)
	return &format{
		name: "json", paths: []string{"/ingest"}, schemes: []string{"Bearer"},
		about: `JSON, an event, an array or {"events":[…]}, or NDJSON, an event a line (application/x-ndjson)`,
		hint:  `send an event, an array of events or {"events":[…]}`,
		open: func(s *Service, c *gin.Context) (incoming, *refusal) {
			lines, no := jsonLines(c)
			return &jsonRequest{s: s, decoders: decoders, lines: lines}, no
		},
		refuse: refuseJSON,
	}
}

type jsonRequest struct {
	s        *Service
	decoders *spare[*wire.Decoder]
	lines    bool
	keyed    bool // The client can repeat it safely.
	decoder  *wire.Decoder
}

// jsonLines reports by the Content-Type whether a body is NDJSON.
func jsonLines(c *gin.Context) (lines bool, no *refusal) {
	switch given := c.GetHeader("Content-Type"); given {
	case jsonType:
	case linesType:
		lines = true
	default:
		t, _, err := mime.ParseMediaType(given)
		if lines = t == linesType; err != nil || t != jsonType && !lines {
			return false, refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("the Content-Type is %.80q: it must be %s or %s", given, jsonType, linesType))
		}
	}
	return lines, nil
}

func (r *jsonRequest) decode(text []byte) (batch *wire.Batch, no *refusal) {
	r.decoder = r.decoders.take(r.s.texts)
	r.decoder.Cut = r.s.config.CutTags
	var err error
	if r.lines {
		batch, err = r.decoder.Lines(text, r.s.config.MaxEvents)
	} else {
		batch, err = r.decoder.Request(text, r.s.config.MaxEvents)
	}
	var fault *metric.Fault
	switch {
	case errors.Is(err, wire.ErrTooMany):
		return nil, r.s.tooMany()
	case errors.As(err, &fault):
		return nil, &refusal{status: http.StatusBadRequest, detail: "the body is not JSON: " + fault.Detail, fault: fault}
	case err != nil:
		return nil, refuse(http.StatusBadRequest, err.Error())
	}
	return batch, nil
}

func (r *jsonRequest) release(bool) {
	if r.decoder != nil {
		r.decoders.put(r.decoder)
		r.decoder = nil
	}
}

func (r *jsonRequest) id(key string, text []byte) string {
	r.keyed = key != ""
	return requestID(key, text)
}

func (r *jsonRequest) answer(c *gin.Context, o *outcome) {
	status := o.status()
	var detail string
	switch status {
	case http.StatusServiceUnavailable:
		// Without a key a repetition counts what was stored a second time.
		what := "send those of not_acknowledged_ranges again, of which some may then count twice (with an Idempotency-Key none would)"
		if r.keyed {
			what = "send the whole request again as it is; its Idempotency-Key keeps events from counting twice"
		}
		detail = fmt.Sprintf("Kafka did not acknowledge %d of %d events: %s", o.unknown, o.n, what)
	case http.StatusBadRequest:
		detail = "none of the events can be counted"
	default:
		if o.Rejected == 0 {
			allAccepted(c, o.Accepted)
		} else {
			c.JSON(http.StatusOK, o.answer)
		}
		return
	}
	// Before the body, since Gin sets its own only when there is none.
	c.Header("Content-Type", "application/problem+json")
	c.JSON(status, problem{Problem: service.NewProblem(status, detail), answer: o.answer, Errors: o.Errors})
}

// allAccepted is the answer to nearly all requests.
func allAccepted(c *gin.Context, n int) {
	text := make([]byte, 0, 80)
	text = strconv.AppendInt(append(text, `{"accepted":`...), int64(n), 10)
	c.Data(http.StatusOK, "application/json; charset=utf-8", append(text, `,"rejected":0,"errors":[],"rejected_ranges":[]}`...))
}

func refuseJSON(c *gin.Context, r *refusal) {
	var errs []service.ProblemError
	if r.fault != nil {
		errs = []service.ProblemError{{Code: r.fault.Code, Detail: r.fault.Detail}}
	}
	httpapi.Fail(c, r.status, r.detail, errs...)
}
