package ingest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"pulseboard/metric"
	"pulseboard/wire"
)

// connectKind is what the JsonConverter of Kafka Connect writes, with or without schemas.enable; docs/ingest.md says what of it becomes
// events.
func connectKind() *topicKind {
	return &topicKind{
		name: "connect", label: "connect", about: "JSON of Kafka Connect (JsonConverter), with and without schemas.enable", options: []string{"name", "tags", "values", "time", "kind"},
		open: func(s *Service, topic string, o url.Values) (func() incoming, error) {
			r := &connectReader{name: topic, time: o.Get("time"), tags: named(o.Get("tags")), values: named(o.Get("values"))}
			if o.Has("name") {
				r.name = o.Get("name")
			}
			if kind := o.Get("kind"); kind != "" {
				var ok bool
				if r.kind, ok = metric.ParseKind([]byte(kind)); !ok {
					return nil, fmt.Errorf("the kind %.20q is none of event, delta, cumulative and gauge", kind)
				}
			}
			return func() incoming { return &agentRequest{s: s, format: "connect", read: r.read} }, nil
		},
	}
}

// named is the names of a list with commas.
func named(list string) map[string]bool {
	all := make(map[string]bool)
	for name := range strings.SplitSeq(list, ",") {
		if name != "" {
			all[name] = true
		}
	}
	return all
}

// connectReader reads the records of one topic, one after the other.
type connectReader struct {
	name         string
	tags, values map[string]bool // Members of a row; values empty = all.
	time         string          // The member that is the time; "" = the record's.
	kind         metric.Kind

	decoder wire.Decoder
	// The schema that came last, since all records of a topic have few.
	text   []byte
	schema *connectSchema
}

// connectSchema is how the converter writes a schema, and a field of one.
type connectSchema struct {
	Type       string            `json:"type"`
	Name       string            `json:"name"` // Of a logical type.
	Field      string            `json:"field"`
	Fields     []*connectSchema  `json:"fields"`
	Parameters map[string]string `json:"parameters"`
}

// The logical types of Kafka Connect.
const (
	connectDecimal   = "org.apache.kafka.connect.data.Decimal"
	connectDate      = "org.apache.kafka.connect.data.Date"
	connectTime      = "org.apache.kafka.connect.data.Time"
	connectTimestamp = "org.apache.kafka.connect.data.Timestamp"
)

// field is the schema of a member; nil = nothing is known of it.
func (s *connectSchema) field(name string) *connectSchema {
	if s == nil {
		return nil
	}
	if i := slices.IndexFunc(s.Fields, func(f *connectSchema) bool { return f.Field == name }); i >= 0 {
		return s.Fields[i]
	}
	return nil
}

func (r *connectReader) read(b *agentBatch, value []byte) {
	payload, schema, err := r.open(value)
	if err != nil {
		b.fault(metric.CodeMalformed, err.Error())
		return
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var row any
	if err := d.Decode(&row); err != nil {
		b.fault(metric.CodeMalformed, err.Error())
		return
	}
	e := metric.Event{Metric: r.name, Kind: r.kind}
	before, nulls := b.N, b.left["null"]
	if members, ok := row.(map[string]any); ok {
		if _, ours := members["metric_name"]; ours {
			r.event(b, payload)
			return
		}
		if !r.mark(b, &e, members) {
			return
		}
		r.row(b, e, members, schema, 0)
	} else {
		r.value(b, e, row, schema)
	}
	if b.N == before && b.left["null"] == nulls {
		b.fault(metric.CodeValueMissing, "the record has no number")
	}
}

// open takes a record out of its envelope {"schema":…,"payload":…}, which is there with schemas.enable.
func (r *connectReader) open(value []byte) (payload []byte, schema *connectSchema, err error) {
	var envelope map[string]json.RawMessage
	if value[0] != '{' {
		return value, nil, nil
	}
	if err := json.Unmarshal(value, &envelope); err != nil {
		return nil, nil, err
	}
	text, schemed := envelope["schema"]
	payload, enveloped := envelope["payload"]
	if len(envelope) != 2 || !schemed || !enveloped {
		return value, nil, nil
	}
	if r.text == nil || !bytes.Equal(r.text, text) {
		schema := new(connectSchema)
		if err := json.Unmarshal(text, schema); err != nil {
			return nil, nil, fmt.Errorf("the schema cannot be read: %w", err)
		}
		r.text, r.schema = bytes.Clone(text), schema
	}
	return payload, r.schema, nil
}

// event reads a row that is an event as POST /ingest has it.
func (r *connectReader) event(b *agentBatch, payload []byte) {
	r.decoder.Cut = b.cut
	batch, err := r.decoder.Request(payload, 1)
	if err != nil {
		b.fault(metric.CodeMalformed, err.Error())
		return
	}
	for _, e := range batch.Events {
		b.add(e)
	}
	for _, f := range batch.Faults {
		b.fault(f.Code, f.Detail)
	}
}

// mark takes the members of a row that are tags and its time out of it, and reports whether they can be read.
func (r *connectReader) mark(b *agentBatch, e *metric.Event, row map[string]any) bool {
	if v, ok := row[r.time]; ok && r.time != "" {
		delete(row, r.time)
		if e.Time, ok = connectInstant(v); !ok && v != nil {
			b.fault(metric.CodeEventTimeInvalid, fmt.Sprintf("%s %.40v is neither RFC 3339 nor a time since 2000 in seconds, milli-, micro- or nanoseconds", r.time, v))
			return false
		}
	}
	tags := make(map[string]string)
	for key := range r.tags {
		v, ok := row[key]
		if !ok {
			continue
		}
		delete(row, key)
		switch v := v.(type) {
		case string:
			tags[key] = v
		case bool:
			tags[key] = strconv.FormatBool(v)
		case json.Number:
			tags[key] = v.String()
		case nil:
		default:
			b.fault(metric.CodeTagsInvalid, fmt.Sprintf("the tag %s must be a text, a number or a boolean", key))
			return false
		}
	}
	e.Tags = metric.NewTags(tags)
	return true
}

// connectInstant reads a time as the converter writes a Timestamp, milliseconds, or as sources write them without one.
func connectInstant(v any) (ms int64, ok bool) {
	if n, number := v.(json.Number); number {
		ms, _, ok = epoch(n)
		return ms, ok
	}
	return dateOf(v)
}

// row adds the numbers of a row, and of the rows in it.
func (r *connectReader) row(b *agentBatch, e metric.Event, row map[string]any, schema *connectSchema, depth int) {
	name := e.Metric
	for _, key := range slices.Sorted(maps.Keys(row)) {
		if depth == 0 && len(r.values) > 0 && !r.values[key] {
			continue
		}
		e.Metric = joined(name, key)
		if inner, ok := row[key].(map[string]any); ok && depth < mostNested {
			r.row(b, e, inner, schema.field(key), depth+1)
			continue
		}
		r.value(b, e, row[key], schema.field(key))
	}
}

// value adds a value, if it is a number.
func (r *connectReader) value(b *agentBatch, e metric.Event, v any, schema *connectSchema) {
	logical := ""
	if schema != nil {
		logical = schema.Name
	}
	switch logical {
	case connectDate, connectTime, connectTimestamp:
		b.left["time"]++
		return
	case connectDecimal:
		if text, ok := v.(string); ok {
			decimal, err := connectNumber(text, schema.Parameters["scale"])
			if err != nil {
				b.fault(metric.CodeMalformed, fmt.Sprintf("%s: %v", e.Metric, err))
				return
			}
			v = decimal
		}
	}
	if n, ok := v.(json.Number); ok {
		f, err := n.Float64()
		if err != nil { // It is beyond them.
			b.fault(metric.CodeValueNotFinite, fmt.Sprintf("%s: %.40s is beyond the numbers that 64 bits hold", e.Metric, n))
			return
		}
		v = f
	}
	var ok bool
	if e.Value, ok = b.number(v); ok {
		b.add(e)
	}
}

// connectNumber reads a Decimal as the converter writes it unless decimal.format is NUMERIC: the unscaled whole number, of two's complement,
// in base 64.
func connectNumber(text, scale string) (json.Number, error) {
	digits, err := base64.StdEncoding.DecodeString(text)
	places, err2 := strconv.Atoi(scale)
	if err = errors.Join(err, err2); err != nil || len(digits) == 0 {
		return "", fmt.Errorf("it is no Decimal of Kafka Connect: %.40q of scale %.10q", text, scale)
	}
	n := new(big.Int).SetBytes(digits)
	if digits[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(digits))))
	}
	return json.Number(n.String() + "e" + strconv.Itoa(-places)), nil
}
