package otlp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/encoding/protowire"
)

// transcoder makes protocol buffers of OTLP's JSON: names in lowerCamelCase, whole numbers also as strings, enumerations as numbers. Members
// that it does not know are passed over, as the specification wants it.
type transcoder struct {
	request *message // The schema.
	text    []byte
	in      *jsontext.Decoder
	most    int64
}

// message is the schema of a message, by the names of its members.
type message map[string]member

type member struct {
	number protowire.Number
	form   form
	list   bool
	inner  message // Of form nested.
}

// form is how a value stands in JSON and on the wire.
type form uint8

const (
	text     form = iota // A string.
	binary64             // Bytes, in base 64.
	boolean
	varint // A whole number,
	zigzag // with a sign,
	fixed  // of 64 bits, 0 or above,
	sfixed // or with a sign.
	double // A number, "NaN", "Infinity" or "-Infinity".
	nested // A message.
)

// requestSchema is that of an ExportMetricsServiceRequest, of what this package reads.
func requestSchema() message {
	one := func(number protowire.Number, f form) member { return member{number: number, form: f} }
	many := func(number protowire.Number, f form) member { return member{number: number, form: f, list: true} }
	inner := func(number protowire.Number, m message) member { return member{number: number, form: nested, inner: m} }
	list := func(number protowire.Number, m message) member {
		return member{number: number, form: nested, list: true, inner: m}
	}
	anyValue := message{"stringValue": one(1, text), "boolValue": one(2, boolean), "intValue": one(3, varint), "doubleValue": one(4, double), "bytesValue": one(7, binary64)}
	keyValue := message{"key": one(1, text), "value": inner(2, anyValue)}
	anyValue["arrayValue"] = inner(5, message{"values": list(1, anyValue)})
	anyValue["kvlistValue"] = inner(6, message{"values": list(1, keyValue)})
	exemplar := message{} // They are counted.
	point := func(attributes, exemplars, flags protowire.Number, more message) message {
		m := message{
			"attributes": list(attributes, keyValue), "startTimeUnixNano": one(2, fixed), "timeUnixNano": one(3, fixed), "flags": one(flags, varint),
		}
		if exemplars > 0 {
			m["exemplars"] = list(exemplars, exemplar)
		}
		for name, member := range more {
			m[name] = member
		}
		return m
	}
	number := point(7, 5, 8, message{"asDouble": one(4, double), "asInt": one(6, sfixed)})
	histogram := point(9, 8, 10, message{
		"count": one(4, fixed), "sum": one(5, double), "bucketCounts": many(6, fixed), "explicitBounds": many(7, double), "min": one(11, double), "max": one(12, double),
	})
	buckets := message{"offset": one(1, zigzag), "bucketCounts": many(2, varint)}
	exponential := point(1, 11, 10, message{
		"count": one(4, fixed), "sum": one(5, double), "scale": one(6, zigzag), "zeroCount": one(7, fixed), "positive": inner(8, buckets), "negative": inner(9, buckets),
		"min": one(12, double), "max": one(13, double), "zeroThreshold": one(14, double),
	})
	summary := point(7, 0, 8, message{
		"count": one(4, fixed), "sum": one(5, double), "quantileValues": list(6, message{"quantile": one(1, double), "value": one(2, double)}),
	})
	data := func(point message) message {
		return message{"dataPoints": list(1, point), "aggregationTemporality": one(2, varint), "isMonotonic": one(3, boolean)}
	}
	metric := message{
		"name": one(1, text), "description": one(2, text), "unit": one(3, text),
		"gauge": inner(gaugePoints, data(number)), "sum": inner(sumPoints, data(number)), "histogram": inner(histogramPoints, data(histogram)),
		"exponentialHistogram": inner(exponentialPoints, data(exponential)), "summary": inner(summaryPoints, data(summary)),
	}
	scope := message{"name": one(1, text), "version": one(2, text), "attributes": list(3, keyValue)}
	return message{"resourceMetrics": list(1, message{
		"resource":     inner(1, message{"attributes": list(1, keyValue)}),
		"scopeMetrics": list(2, message{"scope": inner(1, scope), "metrics": list(2, metric)}),
	})}
}

// transcode returns a body as protocol buffers, valid until the next call. It fails where they would have more than most bytes.
func (t *transcoder) transcode(body []byte, most int64) ([]byte, error) {
	if t.request == nil {
		m := requestSchema()
		t.request, t.in = &m, jsontext.NewDecoder(bytes.NewBuffer(nil), jsontext.AllowDuplicateNames(true))
	}
	t.in.Reset(bytes.NewBuffer(body), t.in.Options())
	t.text, t.most = t.text[:0], most
	if err := t.message(*t.request, 0); err != nil {
		return nil, tidy(err)
	}
	switch _, err := t.in.ReadToken(); {
	case err == nil:
		return nil, errors.New("there is more after the JSON value")
	case !errors.Is(err, io.EOF):
		return nil, tidy(err)
	}
	return t.text, nil
}

// trim lets go of more memory than so many bytes.
func (t *transcoder) trim(most int) {
	if cap(t.text) > most {
		t.text = nil
	}
	if t.in != nil {
		t.in.Reset(bytes.NewBuffer(nil), t.in.Options()) // It holds the body.
	}
}

// tidy gives the errors of the JSON library a form for people.
func tidy(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON ends too early")
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("%w, at byte %d", s.Err, s.ByteOffset)
	}
	return err
}

// message appends the fields of an object.
func (t *transcoder) message(m message, depth int) error {
	const deepest = 64
	if depth > deepest {
		return errDeep
	}
	if t.in.PeekKind() != '{' {
		return t.not("an object")
	}
	if _, err := t.in.ReadToken(); err != nil {
		return err
	}
	for t.in.PeekKind() != '}' {
		token, err := t.in.ReadToken()
		if err != nil {
			return err
		}
		name := token.String() // The token is valid until the next one alone.
		known, ok := m[name]
		if !ok || t.in.PeekKind() == 'n' { // null is as absent.
			if err := t.in.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := t.member(known, depth); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	_, err := t.in.ReadToken()
	return err
}

// member appends a value, or those of a list.
func (t *transcoder) member(m member, depth int) error {
	if !m.list {
		return t.value(m, depth)
	}
	if t.in.PeekKind() != '[' {
		return t.not("an array")
	}
	if _, err := t.in.ReadToken(); err != nil {
		return err
	}
	for t.in.PeekKind() != ']' {
		if err := t.value(m, depth); err != nil {
			return err
		}
	}
	_, err := t.in.ReadToken()
	return err
}

// not says that a value is not what it should be, or what is wrong with its syntax.
func (t *transcoder) not(what string) error {
	if _, err := t.in.ReadToken(); err != nil {
		return err
	}
	return fmt.Errorf("it must be %s", what)
}

func (t *transcoder) value(m member, depth int) error {
	if int64(len(t.text)) > t.most {
		return fmt.Errorf("the request has more than %d bytes: send it in several", t.most)
	}
	if m.form == nested {
		return t.nested(m, depth)
	}
	token, err := t.in.ReadToken()
	if err != nil {
		return err
	}
	switch m.form {
	case text, binary64:
		return t.bytes(m, token)
	case boolean:
		if k := token.Kind(); k != 't' && k != 'f' {
			return errors.New("it must be true or false")
		}
		t.varint(m.number, protowire.EncodeBool(token.Bool()))
	case double:
		v, err := number(token)
		if err != nil {
			return err
		}
		t.fixed(m.number, math.Float64bits(v))
	default:
		return t.whole(m, token)
	}
	return nil
}

// nested appends a message after its length.
func (t *transcoder) nested(m member, depth int) error {
	t.text = protowire.AppendTag(t.text, m.number, protowire.BytesType)
	begin := len(t.text)
	if err := t.message(m.inner, depth+1); err != nil {
		return err
	}
	length := uint64(len(t.text) - begin)
	n := protowire.SizeVarint(length)
	t.text = append(t.text, make([]byte, n)...)
	copy(t.text[begin+n:], t.text[begin:])
	protowire.AppendVarint(t.text[:begin], length)
	return nil
}

func (t *transcoder) bytes(m member, token jsontext.Token) (err error) {
	if token.Kind() != '"' {
		return errors.New("it must be a string")
	}
	value := []byte(token.String())
	if m.form == binary64 {
		if value, err = base64.StdEncoding.DecodeString(token.String()); err != nil {
			return errors.New("it must be bytes in base 64")
		}
	}
	t.text = protowire.AppendBytes(protowire.AppendTag(t.text, m.number, protowire.BytesType), value)
	return nil
}

func (t *transcoder) varint(n protowire.Number, v uint64) {
	t.text = protowire.AppendVarint(protowire.AppendTag(t.text, n, protowire.VarintType), v)
}

func (t *transcoder) fixed(n protowire.Number, v uint64) {
	t.text = protowire.AppendFixed64(protowire.AppendTag(t.text, n, protowire.Fixed64Type), v)
}

var errNumber = errors.New("it must be a number")

func number(token jsontext.Token) (float64, error) {
	switch token.Kind() {
	case '0':
		if v, err := token.Float(); err == nil {
			return v, nil
		}
	case '"':
		switch s := token.String(); s {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		default:
			if v, err := strconv.ParseFloat(s, 64); err == nil {
				return v, nil
			}
		}
	}
	return 0, errNumber
}

// whole appends a whole number.
func (t *transcoder) whole(m member, token jsontext.Token) error {
	if k := token.Kind(); k != '0' && k != '"' {
		return errors.New("it must be a whole number")
	}
	s := token.String()
	var bits uint64
	var err error
	if m.form == fixed {
		bits, err = strconv.ParseUint(s, 10, 64)
	} else {
		var v int64
		v, err = strconv.ParseInt(s, 10, 64)
		bits = uint64(v)
		if v < math.MinInt32 || v > math.MaxInt32 {
			if m.form == zigzag {
				err = strconv.ErrRange
			}
		}
	}
	if err != nil {
		return fmt.Errorf("it must be a whole number, and is %.40q", s)
	}
	switch m.form {
	case fixed, sfixed:
		t.fixed(m.number, bits)
	case zigzag:
		t.varint(m.number, protowire.EncodeZigZag(int64(bits)))
	default:
		t.varint(m.number, bits)
	}
	return nil
}
