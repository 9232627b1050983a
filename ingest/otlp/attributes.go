package otlp

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pulseboard/ingest/internal/points"
	"pulseboard/ingest/internal/protofields"
	"pulseboard/metric"
)

// DefaultAttributes are those of resources that become tags: what tells apart who sends, and where it runs. Others, as the version of an
// SDK or a process id, say the same on each point or begin new series at each start.
func DefaultAttributes() []string {
	return []string{
		"service.name", "service.namespace", "service.instance.id",
		"deployment.environment.name", "deployment.environment",
		"host.name", "container.name", "cloud.region", "cloud.availability_zone",
		"k8s.cluster.name", "k8s.namespace.name", "k8s.node.name", "k8s.pod.name", "k8s.container.name",
		"k8s.deployment.name", "k8s.replicaset.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.job.name", "k8s.cronjob.name",
	}
}

const (
	scopePrefix    = "otel.scope."
	resourcePrefix = "resource."
)

func wanted(further []string) map[string]struct{} {
	all := make(map[string]struct{})
	for _, list := range [][]string{DefaultAttributes(), further} {
		for _, name := range list {
			all[name] = struct{}{}
		}
	}
	return all
}

// resource reads the attributes of a resource.
func (d *Decoder) resource(text []byte) error {
	f := protofields.Fields{Text: text}
	for f.Next() {
		if f.Number == 1 {
			if err := d.outer(&d.resourceTags, "", f.Bytes); err != nil {
				return err
			}
		}
	}
	return f.Err
}

// scope reads name, version and attributes of a scope.
func (d *Decoder) scope(text []byte) error {
	f := protofields.Fields{Text: text}
	for f.Next() {
		switch f.Number {
		case 1:
			d.outerText("name", f.Bytes)
		case 2:
			d.outerText("version", f.Bytes)
		case 3:
			if err := d.outer(&d.outerTags, scopePrefix, f.Bytes); err != nil {
				return err
			}
		}
	}
	return f.Err
}

func (d *Decoder) outerText(key string, value []byte) {
	d.key = append(append(d.key[:0], scopePrefix...), key...)
	if _, ok := d.wanted[string(d.key)]; ok {
		d.outerTags = appendText(appendText(d.outerTags, d.key), value)
	}
}

// outer appends an attribute that stands above the data points, if it is to become a tag.
func (d *Decoder) outer(dst *[]byte, prefix string, text []byte) error {
	key, value, err := protofields.Pair(text)
	if err != nil {
		return err
	}
	d.key = append(append(d.key[:0], prefix...), key...)
	if _, ok := d.wanted[string(d.key)]; !ok {
		return nil
	}
	*dst = appendText(*dst, d.key)
	*dst, err = d.appendValue(*dst, value)
	return err
}

// readAttributes reads those of the data point into pairs.
func (d *Decoder) readAttributes() error {
	d.pairs = d.pairs[:0]
	f := protofields.Fields{Text: d.attributes}
	for f.Next() {
		key, value, err := protofields.Pair(f.Bytes)
		if err != nil {
			return err
		}
		d.pairs = appendText(d.pairs, key)
		if d.pairs, err = d.appendValue(d.pairs, value); err != nil {
			return err
		}
	}
	return f.Err
}

// appendValue appends the text of an AnyValue after its length.
func (d *Decoder) appendValue(dst, value []byte) (_ []byte, err error) {
	d.value, err = appendAny(d.value[:0], value, 0)
	return appendText(dst, d.value), err
}

// maxDepth is how deep values of attributes may be nested.
const maxDepth = 16

var errDeep = errors.New("the value of an attribute is nested too deep")

// appendAny appends an AnyValue as OpenTelemetry's specification wants it for protocols that have texts alone: strings as they are, lists and
// maps as JSON, in which depth is above 0 and strings are quoted.
func appendAny(dst, value []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, errDeep
	}
	f, begin := protofields.Fields{Text: value}, len(dst)
	for f.Next() {
		dst = dst[:begin] // The last one counts.
		switch f.Number {
		case 1:
			dst = appendString(dst, f.Bytes, depth)
		case 2:
			dst = strconv.AppendBool(dst, f.Bits != 0)
		case 3:
			dst = strconv.AppendInt(dst, int64(f.Bits), 10)
		case 4:
			dst = appendDouble(dst, f.Double(), depth)
		case 5:
			dst, f.Err = appendList(dst, f.Bytes, depth+1)
		case 6:
			dst, f.Err = appendMap(dst, f.Bytes, depth+1)
		case 7:
			dst = appendString(dst, base64.StdEncoding.AppendEncode(nil, f.Bytes), depth)
		}
	}
	if len(dst) == begin && depth > 0 {
		dst = append(dst, "null"...)
	}
	return dst, f.Err
}

func appendString(dst, text []byte, depth int) []byte {
	if depth == 0 {
		return append(dst, text...)
	}
	dst, _ = jsontext.AppendQuote(dst, text) // What is not UTF-8 is replaced.
	return dst
}

func appendDouble(dst []byte, v float64, depth int) []byte {
	switch {
	case math.IsNaN(v):
		return appendString(dst, []byte("NaN"), depth)
	case math.IsInf(v, 1):
		return appendString(dst, []byte("Infinity"), depth)
	case math.IsInf(v, -1):
		return appendString(dst, []byte("-Infinity"), depth)
	}
	return append(dst, jsontext.Float(v).String()...)
}

func appendList(dst, text []byte, depth int) (_ []byte, err error) {
	dst = append(dst, '[')
	f := protofields.Fields{Text: text}
	for n := 0; f.Next(); {
		if f.Number != 1 {
			continue
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		n++
		if dst, err = appendAny(dst, f.Bytes, depth); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), f.Err
}

func appendMap(dst, text []byte, depth int) (_ []byte, err error) {
	dst = append(dst, '{')
	f := protofields.Fields{Text: text}
	for n := 0; f.Next(); {
		if f.Number != 1 {
			continue
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		n++
		key, value, err := protofields.Pair(f.Bytes)
		if err != nil {
			return dst, err
		}
		dst = append(appendString(dst, key, depth), ':')
		if dst, err = appendAny(dst, value, depth); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), f.Err
}

// entry is a series, and the last point of it.
type entry struct {
	points.Series

	metric uint64 // The number of the metric that it was in.
	at     int64
	nanos  int32
	names  int // How many bytes its name and tags take.
}

// Bytes implements wire.Sized.
func (e entry) Bytes() int { return e.Series.Bytes() + e.names }

// series returns that of a part of the data point: the metric's name and an ending, and where key is not empty one tag more.
func (d *Decoder) series(ending, key string, value []byte) *entry {
	write := func(k, own []byte) []byte {
		k = appendText(appendText(k, d.outerTags), own)
		k = binary.AppendUvarint(k, uint64(len(d.name)+len(ending)))
		k = append(append(k, d.name...), ending...)
		if key != "" {
			k = appendText(appendText(k, key), value)
		}
		return k
	}
	d.key = write(d.key[:0], d.attributes)
	if known := d.known.Find(d.key); known != nil {
		return &known.Value
	}
	if d.broken = cmp.Or(d.broken, d.readAttributes()); d.broken != nil {
		return new(entry)
	}
	text := string(write(nil, d.pairs))
	return &d.known.Add(string(d.key), entry{Series: makeSeries(text, d.Cut), names: len(text)}).Value
}

// makeSeries reads what series wrote of pairs. Names and values are parts of it.
func makeSeries(text string, cut bool) points.Series {
	outer, own := pairs(next(&text)), pairs(next(&text))
	name := next(&text)
	own = append(own, pairs(text)...)
	taken := make(map[string]struct{}, len(own))
	for _, t := range own {
		taken[t.Key] = struct{}{}
	}
	for _, t := range outer {
		if _, clash := taken[t.Key]; clash && !strings.HasPrefix(t.Key, scopePrefix) {
			t.Key = resourcePrefix + t.Key
		}
		own = append(own, t)
	}
	return points.NewSeries(name, own, cut)
}

// next reads what appendText appended.
func next(text *string) string {
	size, n := binary.Uvarint([]byte((*text)[:min(len(*text), binary.MaxVarintLen64)]))
	part := (*text)[n : n+int(size)]
	*text = (*text)[n+int(size):]
	return part
}

func pairs(text string) (t metric.Tags) {
	for len(text) > 0 {
		if key, value := next(&text), next(&text); value != "" {
			t = append(t, metric.Tag{Key: key, Value: value})
		}
	}
	return t
}
