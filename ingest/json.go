package ingest

import (
	"bytes"
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

// form is how a body holds its events.
type form uint8

const (
	oneValue form = iota // JSON.
	oneALine             // NDJSON.
	guessed              // By what it begins with.
)

// jsonFormat is POST /ingest of docs/protocol.md.
func jsonFormat() *format {
	decoders := newSpare(wire.NewDecoder)
	return &format{
		name: "json", paths: []string{"/ingest"}, schemes: []string{"Bearer"},
		about: `JSON, an event, an array or {"events":[…]}, or NDJSON, an event a line`,
		hint:  `send an event, an array of events or {"events":[…]}`,
		open: func(s *Service, c *gin.Context) (incoming, *refusal) {
			f, no := formOf(c)
			return &jsonRequest{s: s, decoders: decoders, form: f, kind: c.GetHeader("Content-Type")}, no
		},
		refuse: refuseJSON,
	}
}

type jsonRequest struct {
	s        *Service
	decoders *spare[*wire.Decoder]
	form     form
	kind     string // The Content-Type.
	keyed    bool   // The client can repeat it safely.
	decoder  *wire.Decoder
	unknown  []wire.UnknownMember
}

// formOf returns the form that the Content-Type names. It may be one that programs send unless they are told otherwise: what
// begins as JSON does is taken for it. Pages of other sites can send some of these, and are refused before (service.Origins).
func formOf(c *gin.Context) (form, *refusal) {
	given := c.GetHeader("Content-Type")
	switch given {
	case jsonType:
		return oneValue, nil
	case linesType:
		return oneALine, nil
	case "":
		return guessed, nil
	}
	t, _, err := mime.ParseMediaType(given)
	if err != nil {
		return oneValue, unknownType(given)
	}
	switch t {
	case jsonType, "text/json":
		return oneValue, nil
	case linesType, "application/ndjson", "application/jsonl", "application/x-jsonl", "application/jsonlines", "application/x-jsonlines",
		"application/json-lines", "application/stream+json", "application/x-json-stream", "application/x-ldjson", "text/x-ndjson":
		return oneALine, nil
	case "text/plain", "application/x-www-form-urlencoded", "application/octet-stream":
		return guessed, nil
	}
	return oneValue, unknownType(given)
}

func unknownType(given string) *refusal {
	return refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("the Content-Type is %.80q: it must be %s or %s, or absent where the body begins with { or [", given, jsonType, linesType))
}

// withoutMark is a text without the byte order mark that some programs begin it with.
func withoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) }

func (r *jsonRequest) decode(text []byte, most int) (batch *wire.Batch, no *refusal) {
	text = withoutMark(text)
	if begin := bytes.TrimLeft(text, " \t\r\n"); r.form == guessed && (len(begin) == 0 || begin[0] != '{' && begin[0] != '[') {
		return nil, unknownType(r.kind)
	}
	r.decoder = r.decoders.take(r.s.texts)
	r.decoder.Cut = r.s.config.CutTags
	var err error
	switch r.form {
	case oneValue:
		batch, err = r.decoder.Request(text, most)
	case oneALine:
		batch, err = r.decoder.Lines(text, most)
	case guessed:
		batch, err = r.decoder.Guess(text, most)
	}
	var fault *metric.Fault
	switch {
	case errors.Is(err, wire.ErrTooMany):
		return nil, tooMany(most)
	case errors.As(err, &fault):
		return nil, &refusal{status: http.StatusBadRequest, detail: "the body is not JSON: " + fault.Detail, fault: fault}
	case err != nil:
		return nil, refuse(http.StatusBadRequest, err.Error())
	}
	if r.unknown = batch.Unknown; len(r.unknown) > 0 {
		n := 0
		for _, u := range r.unknown {
			n += u.Count
		}
		r.s.metrics.leftOut.WithLabelValues("json", "unknown_member").Add(float64(n))
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

// warning tells of a member that is passed over.
type warning struct {
	Member string `json:"member,omitempty"`
	Count  int    `json:"count"`
	Index  int    `json:"index"`
	Detail string `json:"detail"`
}

func (r *jsonRequest) warnings() (all []warning) {
	for _, u := range r.unknown {
		w := warning{u.Name, u.Count, u.Index, "it is passed over: an event has no such member"}
		switch {
		case u.Meant != "":
			w.Detail = fmt.Sprintf("it is passed over: did you mean `%s`?", u.Meant)
		case u.Name == "":
			w.Detail = "so many members of further names are passed over"
		}
		all = append(all, w)
	}
	return all
}

func (r *jsonRequest) answer(c *gin.Context, o *outcome) {
	status := o.status()
	o.Warnings = r.warnings()
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
		if o.Rejected == 0 && len(o.Warnings) == 0 {
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
