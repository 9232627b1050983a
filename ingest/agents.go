package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/wire"
)

// The JSON of agents that gather metrics: docs/ingest.md, "Agents". What a file of theirs has is how one of their objects
// becomes events; the rest is the same for all.

// agentFormat is the format of an agent. reader returns how an object of a request is read.
func agentFormat(name, about string, reader func(*gin.Context) func(*agentBatch, []byte)) *format {
	return &format{
		name: name, paths: []string{"/ingest/" + name}, schemes: []string{"Bearer", "Token"}, about: about,
		hint: "send " + about,
		open: func(s *Service, c *gin.Context) (incoming, *refusal) {
			return &agentRequest{s: s, format: name, read: reader(c)}, nil
		},
		refuse: refuseJSON,
	}
}

type agentRequest struct {
	s      *Service
	format string
	read   func(*agentBatch, []byte)
	byBody bool // The body makes the ids of its records.
}

func (r *agentRequest) decode(text []byte, most int) (*wire.Batch, *refusal) {
	b := &agentBatch{cut: r.s.config.CutTags, limit: most, timed: true, points: true, left: map[string]int{}}
	err := eachObject(withoutMark(text), func(object []byte) error {
		r.read(b, object)
		if b.N > b.limit {
			return wire.ErrTooMany
		}
		return nil
	})
	switch {
	case errors.Is(err, wire.ErrTooMany):
		return nil, tooMany(most)
	case err != nil:
		f := &metric.Fault{Code: metric.CodeMalformed, Detail: err.Error()}
		return nil, &refusal{status: http.StatusBadRequest, detail: "the body is not JSON: " + f.Detail, fault: f}
	}
	for reason, n := range b.left {
		r.s.metrics.leftOut.WithLabelValues(r.format, reason).Add(float64(n))
	}
	r.byBody = b.timed && !b.points
	return &b.Batch, nil
}

// eachObject calls do with each value of a body, of which there may be several, one after the other, and with the items of those that
// are arrays.
func eachObject(text []byte, do func([]byte) error) error {
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var value json.RawMessage
		switch err := d.Decode(&value); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w, at byte %d", err, d.InputOffset())
		}
		items := []json.RawMessage{value}
		if value[0] == '[' {
			if err := json.Unmarshal(value, &items); err != nil {
				return err
			}
		}
		for _, item := range items {
			if err := do(item); err != nil {
				return err
			}
		}
	}
}

// id is that of the body where all events have a time and are no points: agents send a request that was not answered again, and
// know no Idempotency-Key.
func (r *agentRequest) id(key string, text []byte) string {
	if key == "" && r.byBody {
		key = "events of an agent with times"
	}
	return requestID(key, text)
}

func (*agentRequest) release(bool) {}

// answer is 200 also where nothing can be counted: agents send a request that was answered 400 again, some of them for ever, and
// the next ones wait behind it.
func (*agentRequest) answer(c *gin.Context, o *outcome) {
	switch {
	case o.unknown > 0:
		c.Header("Content-Type", "application/problem+json")
		detail := fmt.Sprintf("Kafka did not acknowledge %d of %d events: send the request again as it is", o.unknown, o.n)
		c.JSON(http.StatusServiceUnavailable, problem{Problem: service.NewProblem(http.StatusServiceUnavailable, detail), answer: o.answer, Errors: o.Errors})
	case o.Rejected == 0:
		allAccepted(c, o.Accepted)
	default:
		c.JSON(http.StatusOK, o.answer)
	}
}

// agentBatch gathers the events of a request.
type agentBatch struct {
	wire.Batch

	cut           bool // Tags beyond the limits are cut to fit.
	limit         int
	timed, points bool           // All events have a time, and are points.
	left          map[string]int // What was passed over, by reason.
}

func (b *agentBatch) fault(code, detail string) {
	b.Faults = append(b.Faults, wire.IndexedFault{Index: b.N, Fault: metric.Fault{Code: code, Detail: detail}})
	b.N++
}

// add adds an event, or says what is wrong with it.
func (b *agentBatch) add(e metric.Event) {
	cut := false
	f := metric.CheckTags(e.Tags)
	if f != nil && b.cut {
		e.Tags, cut = e.Tags.Fit()
		f = metric.CheckTags(e.Tags)
	}
	switch err := metric.ValidateName(e.Metric); {
	case err != nil:
		f = &metric.Fault{Code: metric.CodeNameInvalid, Detail: err.Error()}
	case math.IsNaN(e.Value) || math.IsInf(e.Value, 0):
		f = &metric.Fault{Code: metric.CodeValueNotFinite, Detail: fmt.Sprintf("the value of %s is %v", e.Metric, e.Value)}
	case f != nil:
	case e.Time != 0:
		f = metric.TimeFault(e.Time)
	default:
		e.Point, e.Nanos = false, 0 // It would be known by its time.
	}
	if f == nil {
		f = e.Check()
	}
	if f != nil {
		b.fault(f.Code, f.Detail)
		return
	}
	b.timed, b.points = b.timed && e.Time != 0, b.points && e.Point
	b.Events = append(b.Events, e)
	b.Index = append(b.Index, b.N)
	b.N++
	if cut {
		b.Cut++
	}
}

// number returns the number that a member is, of a boolean 1 or 0. What is none is passed over, and counted.
func (b *agentBatch) number(value any) (v float64, ok bool) {
	switch value := value.(type) {
	case float64:
		return value, true
	case bool:
		if value {
			return 1, true
		}
		return 0, true
	case nil:
		b.left["null"]++
	case string:
		b.left["string"]++
	default:
		b.left["neither_number_nor_text"]++
	}
	return 0, false
}

// joined is a name of parts, without those that are empty or equal to the one before.
func joined(parts ...string) string {
	return strings.Join(slices.Compact(slices.DeleteFunc(parts, func(s string) bool { return s == "" })), ".")
}

// epoch reads a time in seconds, milli-, micro- or nanoseconds since 1970: those of 2000 and later are apart.
func epoch(v json.Number) (ms int64, nanos int32, ok bool) {
	if v == "" {
		return 0, 0, true
	}
	f, err := v.Float64()
	if err != nil {
		return 0, 0, false
	}
	text := string(v)
	if strings.ContainsAny(text, "eE") {
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	whole, decimals, _ := strings.Cut(text, ".")
	n, _ := strconv.ParseInt(whole, 10, 64) // In the bounds below it is one.
	const milli = 1_000_000
	for _, unit := range []int64{1000 * milli, milli, 1000, 1} { // In nanoseconds.
		if ms := f * float64(unit) / milli; ms < metric.EarliestTime || ms >= metric.LatestTime {
			continue
		}
		perMs, most := max(1, milli/unit), max(1, unit/milli)
		rest := n % perMs * unit
		for _, c := range decimals {
			unit /= 10
			rest += int64(c-'0') * unit
		}
		return n/perMs*most + rest/milli, int32(rest % milli), true
	}
	return 0, 0, false
}

// decoded reads a JSON object, or adds what is wrong with it.
func (b *agentBatch) decoded(object []byte, into any) bool {
	err := json.Unmarshal(object, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		what := "the object"
		if wrong.Field != "" {
			what = wrong.Field
		}
		err = fmt.Errorf("%s must be %s, and is %s", what, jsonKind(wrong.Type), wrong.Value)
	}
	if err != nil {
		b.fault(metric.CodeMalformed, err.Error())
		return false
	}
	return true
}

// jsonKind is the kind of JSON that a type is read from.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		if t == reflect.TypeFor[json.Number]() {
			return "a number"
		}
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct, reflect.Pointer:
		return "an object"
	default:
		return "a number"
	}
}
