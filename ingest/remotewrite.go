package ingest

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"pulseboard/ingest/prometheus"
	"pulseboard/metric"
	"pulseboard/wire"
)

// remoteWriteFormat is Prometheus' remote write, 1.0 and 2.0, as Prometheus, its agents and vmagent send it; docs/ingest.md says
// what becomes of a sample.
func remoteWriteFormat() *format {
	decoders := newSpare(prometheus.NewDecoder)
	return &format{
		name: "remote_write", paths: []string{"/api/v1/write"}, schemes: []string{"Bearer"},
		about: "remote write of Prometheus, 1.0 and 2.0",
		hint:  "send a prometheus.WriteRequest or an io.prometheus.write.v2.Request, packed with Snappy",
		open: func(s *Service, c *gin.Context) (incoming, *refusal) {
			second, no := secondVersion(c)
			return &remoteWrite{s: s, decoders: decoders, second: second}, no
		},
		refuse: refuseRemoteWrite,
	}
}

const remoteWriteType = "application/x-protobuf"

// secondVersion reports by the head of a request whether its body is of remote write 2.0.
func secondVersion(c *gin.Context) (second bool, no *refusal) {
	given := c.GetHeader("Content-Type")
	kind, parameters, err := mime.ParseMediaType(given)
	if err != nil || kind != remoteWriteType {
		return false, refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("the Content-Type is %.80q: it must be %s", given, remoteWriteType))
	}
	switch proto := parameters["proto"]; proto {
	case "", "prometheus.WriteRequest":
	case "io.prometheus.write.v2.Request":
		second = true
	default:
		return false, refuse(http.StatusUnsupportedMediaType, fmt.Sprintf("the message is a %.80q: it must be prometheus.WriteRequest or io.prometheus.write.v2.Request", proto))
	}
	if c.GetHeader("Content-Encoding") == "" {
		return false, refuse(http.StatusUnsupportedMediaType, "there is no Content-Encoding: remote write is packed with Snappy, and says so")
	}
	return second, nil
}

type remoteWrite struct {
	s        *Service
	decoders *spare[*prometheus.Decoder]
	second   bool
	decoder  *prometheus.Decoder

	sent  prometheus.Sent
	names []string // When there are faults.
}

func (r *remoteWrite) decode(text []byte, most int) (*wire.Batch, *refusal) {
	r.decoder = r.decoders.take(r.s.texts)
	r.decoder.Cut = r.s.config.CutTags
	read := r.decoder.Write1
	if r.second {
		read = r.decoder.Write2
	}
	request, err := read(text, most)
	switch {
	case errors.Is(err, wire.ErrTooMany):
		return nil, tooMany(most)
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, detail: err.Error(), fault: &metric.Fault{Code: metric.CodeMalformed, Detail: err.Error()}}
	}
	r.sent = request.Sent
	r.s.metrics.leaveOut("remote_write", request.NotNumbers, request.Exemplars)
	return &request.Batch.Batch, nil
}

func (r *remoteWrite) release(faults bool) {
	if faults {
		r.names = slices.Clone(r.decoder.Names())
	}
	r.decoders.put(r.decoder)
	r.decoder = nil
}

// id hangs on nothing: points need none to count once.
func (*remoteWrite) id(key string, text []byte) string { return requestID(key, text) }

func (r *remoteWrite) answer(c *gin.Context, o *outcome) {
	if r.second {
		r.writeCounts(c, o)
	}
	switch o.status() {
	case http.StatusServiceUnavailable:
		c.String(http.StatusServiceUnavailable, "Kafka did not acknowledge %d of %d samples: send the request again\n", o.unknown, o.n)
	case http.StatusBadRequest:
		c.String(http.StatusBadRequest, "%s\n", r.faults(o))
	default:
		if o.Rejected > 0 {
			c.String(http.StatusBadRequest, "%s; the others are stored\n", r.faults(o))
			return
		}
		c.Status(http.StatusNoContent)
	}
}

// writeCounts says what was written, by which senders of 2.0 judge whether the receiver speaks it. A sample that is left out by what it is, as
// one that is no number, needs no repetition: it counts as written.
func (r *remoteWrite) writeCounts(c *gin.Context, o *outcome) {
	samples, histograms := r.sent.Samples, r.sent.Histograms
	for _, from := range o.RejectedRanges {
		for i := from[0]; i <= from[1]; i++ {
			if r.sent.IsHistogram(i) {
				histograms--
			} else {
				samples--
			}
		}
	}
	written := func(what string, n int) {
		c.Header("X-Prometheus-Remote-Write-"+what+"-Written", strconv.Itoa(max(0, n)))
	}
	written("Samples", samples)
	written("Histograms", histograms)
	written("Exemplars", 0)
}

// faults names some samples that are refused: senders log it as one line.
func (r *remoteWrite) faults(o *outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d samples are refused: ", o.Rejected, o.n)
	for i, e := range o.Errors[:min(namedFaults, len(o.Errors))] {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%.200q: %s: %s", r.names[e.Index], e.Code, e.Detail)
	}
	if more := o.Rejected - namedFaults; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// refuseRemoteWrite answers a request of which nothing was stored. Senders drop what is answered with 429 unless they are told otherwise,
// and repeat after 503.
func refuseRemoteWrite(c *gin.Context, r *refusal) {
	status := r.status
	if status == http.StatusTooManyRequests {
		status = http.StatusServiceUnavailable
	}
	c.String(status, "%s\n", r.detail)
}
