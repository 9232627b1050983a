package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"pulseboard/ingest/otlp"
	"pulseboard/wire"
)

// otlpFormat is OTLP/HTTP of OpenTelemetry, as its SDKs and collectors send metrics; docs/ingest.md says what becomes of a data point.
func otlpFormat() *format {
	decoders := newSpare(otlp.NewDecoder)
	return &format{
		name: "otlp", paths: []string{"/v1/metrics"}, schemes: []string{"Bearer"},
		about: "metrics of OpenTelemetry (OTLP/HTTP), in protocol buffers or JSON",
		open: func(s *Service, c *gin.Context) (incoming, *refusal) {
			kind, no := otlpType(c)
			return &otlpRequest{s: s, decoders: decoders, json: kind == jsonType}, no
		},
		refuse: refuseOTLP,
	}
}

const protobufType = "application/x-protobuf"

// otlpType returns which of the two types a request has.
func otlpType(c *gin.Context) (string, *refusal) {
	given := c.GetHeader("Content-Type")
	if kind, _, err := mime.ParseMediaType(given); err == nil && (kind == protobufType || kind == jsonType) {
		return kind, nil
	}
	return "", refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("the Content-Type is %.80q: it must be %s or %s", given, protobufType, jsonType))
}

type otlpRequest struct {
	s        *Service
	decoders *spare[*otlp.Decoder]
	json     bool
	decoder  *otlp.Decoder

	sent  otlp.Sent
	names []string // When there are faults.
}

func (r *otlpRequest) decode(text []byte, most int) (*wire.Batch, *refusal) {
	c := &r.s.config
	r.decoder = r.decoders.take(r.s.texts)
	r.decoder.Cut, r.decoder.Attributes = c.CutTags, c.OTLPAttributes
	var request *otlp.Request
	var err error
	if r.json {
		request, err = r.decoder.JSON(text, most, c.MaxBody)
	} else {
		request, err = r.decoder.Protobuf(text, most)
	}
	switch {
	case errors.Is(err, wire.ErrTooMany):
		return nil, refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf(
			"more than %d data points, or of histograms more than %d buckets: send them in several requests", most, otlp.EventsOfPoint*most))
	case err != nil:
		return nil, refuse(http.StatusBadRequest, err.Error())
	}
	r.sent = request.Sent
	r.s.metrics.leaveOut("otlp", request.NotNumbers, request.Exemplars)
	return &request.Batch.Batch, nil
}

func (r *otlpRequest) release(faults bool) {
	if faults {
		r.names, r.sent.Points = slices.Clone(r.decoder.Names()), slices.Clone(r.sent.Points)
	}
	r.decoder.Trim()
	r.decoders.put(r.decoder)
	r.decoder = nil
}

// id hangs on nothing: points need none to count once.
func (*otlpRequest) id(key string, text []byte) string { return requestID(key, text) }

func (r *otlpRequest) answer(c *gin.Context, o *outcome) {
	status, rejected, text := r.verdict(o)
	if status != http.StatusOK {
		otlpStatus(c, status, text)
		return
	}
	r.stored(c, rejected, text)
}

// verdict is the status of HTTP for a request, how many data points are refused, and what is to be said.
func (r *otlpRequest) verdict(o *outcome) (status, rejected int, text string) {
	switch status = o.status(); {
	case status == http.StatusServiceUnavailable:
		text = fmt.Sprintf("Kafka did not acknowledge %d of %d events: send the request again", o.unknown, o.n)
	case o.Rejected > 0:
		rejected, text = r.sent.DataPoints(o.RejectedRanges), r.faults(o)
	}
	return status, rejected, text
}

// stored answers with an ExportMetricsServiceResponse.
func (r *otlpRequest) stored(c *gin.Context, rejected int, text string) {
	if r.json {
		type partial struct {
			Rejected string `json:"rejectedDataPoints"`
			Text     string `json:"errorMessage"`
		}
		var response struct {
			Partial *partial `json:"partialSuccess,omitempty"`
		}
		if rejected > 0 {
			response.Partial = &partial{strconv.Itoa(rejected), text}
		}
		out, _ := json.Marshal(response) // It cannot fail.
		c.Data(http.StatusOK, jsonType, out)
		return
	}
	c.Data(http.StatusOK, protobufType, partialSuccess(rejected, text))
}

// partialSuccess is an ExportMetricsServiceResponse.
func partialSuccess(rejected int, text string) []byte {
	if rejected == 0 {
		return []byte{}
	}
	partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(rejected))
	partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), text)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial)
}

// faults names some events that are refused: senders log it as one line.
func (r *otlpRequest) faults(o *outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d data points are refused: ", r.sent.DataPoints(o.RejectedRanges), len(r.sent.Points))
	named := make(map[string]struct{})
	for _, e := range o.Errors {
		text := fmt.Sprintf("%.200q: %s: %s", r.names[e.Index], e.Code, e.Detail)
		if _, again := named[text]; again {
			continue
		}
		if len(named) == namedFaults {
			b.WriteString("; and more")
			break
		}
		if len(named) > 0 {
			b.WriteString("; ")
		}
		named[text] = struct{}{}
		b.WriteString(text)
	}
	return b.String()
}

// refuseOTLP answers a request of which nothing was stored. Not all SDKs repeat after 429 or 408, and all do after 503.
func refuseOTLP(c *gin.Context, r *refusal) {
	status := r.status
	if status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
		status = http.StatusServiceUnavailable
	}
	otlpStatus(c, status, r.detail)
}

// otlpStatus answers with a google.rpc.Status, in JSON where that or something unknown came.
func otlpStatus(c *gin.Context, status int, text string) {
	code := statusCode(status)
	if kind, _ := otlpType(c); kind == protobufType {
		out := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(code))
		c.Data(status, protobufType, protowire.AppendString(protowire.AppendTag(out, 2, protowire.BytesType), text))
		return
	}
	out, _ := json.Marshal(struct { // It cannot fail.
		Code    codes.Code `json:"code"`
		Message string     `json:"message"`
	}{code, text})
	c.Data(status, jsonType, out)
}

// statusCode is the code of gRPC that says what a status of HTTP does.
func statusCode(status int) codes.Code {
	switch status {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusRequestEntityTooLarge:
		return codes.ResourceExhausted
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.InvalidArgument
}
