package ingest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"pulseboard/wire"
)

// influxFormat is the line protocol of InfluxDB, as Telegraf and the clients of
// InfluxDB send it; docs/ingest.md says what becomes of a line. Answers are in
// the form of InfluxDB 2; those of /write also have the member error of InfluxDB 1.
func influxFormat() *format {
	decoders := newSpare(newInfluxDecoder)
	return &format{
		name: "influx", paths: []string{influxV1, "/api/v2/write"}, schemes: []string{"Bearer", "Token"},
		about: "lines of InfluxDB, as Telegraf and the clients of InfluxDB send them",
		hint:  "send lines such as cpu,host=a usage_idle=93.5 1763892000000000000",
		open: func(s *Service, c *gin.Context) (incoming, *refusal) {
			perMs, ms, err := precision(c.Query("precision"))
			if err != nil {
				return nil, refuse(http.StatusBadRequest, err.Error())
			}
			return &influxRequest{s: s, decoders: decoders, perMs: perMs, ms: ms}, nil
		},
		refuse: refuseInflux,
	}
}

const influxV1 = "/write"

// precisions are the units of a line's time: how many of them are a millisecond, or
// how many milliseconds one of them is.
func precision(name string) (perMs, ms int64, err error) {
	switch name {
	case "", "ns", "n":
		return 1_000_000, 1, nil
	case "us", "u", "µ", "µs":
		return 1000, 1, nil
	case "ms":
		return 1, 1, nil
	case "s":
		return 1, 1000, nil
	case "m":
		return 1, 60_000, nil
	case "h":
		return 1, 3_600_000, nil
	}
	return 0, 0, fmt.Errorf("the precision %.20q is not known: it must be ns, us, ms, s, m or h", name)
}

type influxRequest struct {
	s         *Service
	decoders  *spare[*influxDecoder]
	perMs, ms int64
	decoder   *influxDecoder

	byBody bool // The body makes the ids of its records.
	line   int
	names  []string // When there are faults.
}

func (r *influxRequest) decode(text []byte, most int) (*wire.Batch, *refusal) {
	d := r.decoders.take(r.s.texts)
	r.decoder = d
	d.cut, d.refuseStrings = r.s.config.CutTags, r.s.config.RefuseStrings
	batch, err := d.read(withoutMark(text), most, r.perMs, r.ms)
	if err != nil {
		return nil, tooMany(most)
	}
	r.byBody, r.line = d.timed && d.finer, d.line
	for reason, n := range map[string]int{"string": d.strings, "twice": d.twice} {
		if n > 0 {
			r.s.metrics.leftOut.WithLabelValues("influx", reason).Add(float64(n))
		}
	}
	return batch, nil
}

func (r *influxRequest) release(faults bool) {
	if faults {
		r.names = slices.Clone(r.decoder.names)
	}
	r.decoders.put(r.decoder)
	r.decoder = nil
}

// id is that of the body even without a key when all its lines have a time, and one is finer than a millisecond. The clients of
// InfluxDB repeat what was not answered, without an Idempotency-Key, and expect that it counts once. Points do that by
// themselves, but of a series whose every request is a line there may be more in a slice than are known.
func (r *influxRequest) id(key string, text []byte) string {
	if key == "" && r.byBody {
		key = "lines with times"
	}
	return requestID(key, text)
}

func (r *influxRequest) answer(c *gin.Context, o *outcome) {
	switch o.status() {
	case http.StatusServiceUnavailable:
		influxAnswer(c, http.StatusServiceUnavailable, fmt.Sprintf("Kafka did not acknowledge %d of %d values: send the request again", o.unknown, o.n), 0)
	case http.StatusBadRequest:
		// Telegraf drops a batch whose 400 begins so or with "partial write", as below, and
		// repeats others for ever.
		influxAnswer(c, http.StatusBadRequest, "unable to parse: "+r.faults(o), r.line)
	default:
		if o.Rejected > 0 {
			influxAnswer(c, http.StatusBadRequest, "partial write: "+r.faults(o), r.line)
			return
		}
		c.Status(http.StatusNoContent)
	}
}

// namedFaults is how many faults an answer names that clients log as one line.
const namedFaults = 5

func (r *influxRequest) faults(o *outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d values are refused: ", o.Rejected, o.n)
	for i, e := range o.Errors[:min(namedFaults, len(o.Errors))] {
		if i > 0 {
			b.WriteString("; ")
		}
		if name := r.names[e.Index]; name != "" {
			b.WriteString(name + ": ")
		}
		b.WriteString(e.Code + ": " + e.Detail)
	}
	if more := o.Rejected - namedFaults; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	fmt.Fprintf(&b, " dropped=%d", o.Rejected)
	return b.String()
}

func refuseInflux(c *gin.Context, r *refusal) { influxAnswer(c, r.status, r.detail, 0) }

func influxAnswer(c *gin.Context, status int, message string, line int) {
	codes := map[int]string{
		http.StatusBadRequest: "invalid", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden",
		http.StatusRequestEntityTooLarge: "request too large", http.StatusUnsupportedMediaType: "unsupported media type",
		http.StatusTooManyRequests: "too many requests", http.StatusServiceUnavailable: "unavailable",
		http.StatusNotImplemented: "not implemented", http.StatusUnprocessableEntity: "conflict",
	}
	a := struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Line    int    `json:"line,omitempty"`
		Error   string `json:"error,omitempty"`
	}{codes[status], message, line, ""}
	if c.FullPath() == influxV1 || c.FullPath() == "/query" {
		a.Error = message
	}
	c.JSON(status, a)
}
