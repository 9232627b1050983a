package ingest

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"pulseboard/ingest/otlp"
	"pulseboard/internal/httpapi"
)

// OTLP over gRPC is OTLP over HTTP in frames of gRPC: HTTP/2, a message behind five bytes, and a status behind the answer. So it goes
// the way of all formats, on a port of its own (ADR 0040): each byte counts in the budget before it is held.
//
//	POST /opentelemetry.proto.collector.metrics.v1.MetricsService/Export
//	body: compressed (1 byte) ─ length (4 bytes) ─ ExportMetricsServiceRequest
//	answer: 200 ─ the same frame ─ trailers grpc-status, grpc-message, grpc-status-details-bin

const (
	exportPath = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
	healthPath = "/grpc.health.v1.Health/Check"
	grpcType   = "application/grpc"
	frameHead  = 5
)

// OTLPHandler serves OTLP over gRPC, and grpc.health.v1.Health/Check, on a server of HTTP/2 alone.
func (s *Service) OTLPHandler() http.Handler {
	e := httpapi.New(httpapi.Config{
		Name: "ingest", Log: s.config.Log, Count: s.metrics.countRPC,
	})
	nothing := func(c *gin.Context) {
		refuseRPC(c, refuse(http.StatusNotFound, fmt.Sprintf("%s %.200q is nothing here: there are %s and %s", c.Request.Method, c.Request.URL.Path, exportPath, healthPath)))
	}
	e.NoRoute(nothing)
	e.NoMethod(nothing)
	e.POST(exportPath, s.serve(grpcFormat()))
	e.POST(healthPath, s.health)
	return e
}

func grpcFormat() *format {
	decoders := newSpare(otlp.NewDecoder)
	return &format{
		name: "otlp", schemes: []string{"Bearer"},
		open: func(s *Service, c *gin.Context) (incoming, *refusal) {
			return &grpcRequest{otlpRequest{s: s, decoders: decoders}}, s.unframe(c.Request)
		},
		refuse: refuseRPC,
	}
}

// grpcRequest is an otlpRequest that is answered as gRPC has it.
type grpcRequest struct{ otlpRequest }

func (r *grpcRequest) answer(c *gin.Context, o *outcome) {
	code, rejected, text := r.verdict(o)
	if code != http.StatusOK {
		refuseRPC(c, &refusal{status: code, after: unavailableRetryAfter, detail: text})
		return
	}
	finishRPC(c.Writer, partialSuccess(rejected, text), nil)
}

// unframe makes the body of a request that of its message, as HTTP has it.
func (s *Service) unframe(r *http.Request) *refusal {
	if kind := r.Header.Get("Content-Type"); kind != grpcType && kind != grpcType+"+proto" {
		return refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("the Content-Type is %.80q: it must be %s", kind, grpcType))
	}
	var head [frameHead]byte
	if _, err := io.ReadFull(r.Body, head[:]); err != nil {
		return s.unreadable(err, "the request has no message: ")
	}
	length := int64(binary.BigEndian.Uint32(head[1:]))
	encoding := ""
	switch head[0] {
	case 0:
	case 1:
		if encoding = r.Header.Get("Grpc-Encoding"); encoding != "gzip" {
			return refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("the message is compressed, and grpc-encoding is %.80q: it must be gzip", encoding))
		}
	default:
		return refuse(http.StatusBadRequest, fmt.Sprintf("a message of gRPC begins with 0 or 1, and this one with %d", head[0]))
	}
	r.Header.Set("Content-Encoding", encoding)
	r.Body, r.ContentLength = &message{r.Body, length}, length
	return nil
}

// message reads the one message that a request has.
type message struct {
	io.ReadCloser

	left int64
}

var errSecondMessage = errors.New("more follows its message")

func (m *message) Read(p []byte) (int, error) {
	if m.left == 0 { // To the end, or the connection would wait for it.
		var more [1]byte
		if n, err := io.ReadFull(m.ReadCloser, more[:]); n == 0 {
			return 0, err
		}
		return 0, errSecondMessage
	}
	n, err := m.ReadCloser.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if err = nil; m.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// refuseRPC answers a request of which nothing was stored. What may be sent again says so as OTLP's specification wants it: the code
// UNAVAILABLE, with RetryInfo where it is known when.
func refuseRPC(c *gin.Context, r *refusal) {
	c.Set(rpcStatus, r.status)
	code := statusCode(r.status)
	switch r.status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		code = codes.Unavailable
	case http.StatusUnsupportedMediaType, http.StatusNotFound:
		code = codes.Unimplemented
		c.Header("Grpc-Accept-Encoding", "gzip")
	}
	st := status.New(code, r.detail)
	if code == codes.Unavailable && r.after > 0 {
		wait := &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(r.after) * time.Second)}
		if with, err := st.WithDetails(wait); err == nil {
			st = with
		}
	}
	finishRPC(c.Writer, nil, st)
}

// finishRPC answers with a message, or with a status that is not OK.
func finishRPC(w http.ResponseWriter, text []byte, st *status.Status) {
	h := w.Header()
	h.Set("Content-Type", grpcType)
	w.WriteHeader(http.StatusOK)
	if st == nil {
		head := binary.BigEndian.AppendUint32(make([]byte, 1, frameHead+len(text)), uint32(len(text)))
		_, _ = w.Write(append(head, text...)) // Who is gone needs no answer.
		h.Set(http.TrailerPrefix+"Grpc-Status", "0")
		return
	}
	h.Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(int(st.Code())))
	h.Set(http.TrailerPrefix+"Grpc-Message", percentEncoded(st.Message()))
	if details := st.Proto(); len(details.GetDetails()) > 0 {
		if out, err := proto.Marshal(details); err == nil {
			h.Set(http.TrailerPrefix+"Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(out))
		}
	}
}

// percentEncoded is a message as gRPC writes it in a header.
func percentEncoded(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// health answers whether Kafka took the last events, as those ask who have no HTTP. It needs no token, like /healthz.
func (s *Service) health(c *gin.Context) {
	if no := s.unframe(c.Request); no != nil {
		refuseRPC(c, no)
		return
	}
	_, _ = io.CopyN(io.Discard, c.Request.Body, 1<<10) // Of which service it asks: there is one.
	const serving, notServing = 1, 2
	state := byte(serving)
	if s.producer.last.err(time.Now()) != nil {
		state = notServing
	}
	finishRPC(c.Writer, []byte{1 << 3, state}, nil) // A HealthCheckResponse: field 1, a varint.
}

// rpcStatus is where a handler leaves which status of HTTP its answer stands for.
const rpcStatus = "status of HTTP"

// countRPC is count of requests whose status of HTTP is always 200.
func (m *metrics) countRPC(c *gin.Context) {
	begin := time.Now()
	m.inFlight.Inc()
	defer m.inFlight.Dec()
	c.Next()
	if code := cmp.Or(c.GetInt(rpcStatus), c.Writer.Status()); code != http.StatusOK {
		m.requests.WithLabelValues(strconv.Itoa(code)).Inc()
	} else {
		m.ok.Inc()
	}
	m.duration.Observe(time.Since(begin).Seconds())
}
