package wire

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

// MaxSampleBins is how many bins, of both signs and with the empty ones between them, a histogram of an event may have:
// eight times the 160 that SDKs of OpenTelemetry have of one sign.
const MaxSampleBins = 1280

// histogram reads the histogram of an event, of valid JSON.
func histogram(object []byte) (*aggregate.Histogram, *metric.Fault) {
	h := new(aggregate.Histogram)
	var has struct{ scale, count, sum, min, max bool }
	s := scanner[[]byte]{text: object}
	s.take('{')
	for n := 0; s.more(n, '}'); n++ {
		name := s.unquoted()
		s.take(':')
		if s.null() {
			continue // The same as absent.
		}
		switch string(name) {
		case "scale":
			h.Scale, has.scale = int8(s.within(math.MinInt8, math.MaxInt8)), true
		case "count":
			h.Count, has.count = uint64(s.within(0, math.MaxInt64)), true
		case "sum":
			h.Sum, has.sum = s.float(), true
		case "min":
			h.Min, has.min = s.float(), true
		case "max":
			h.Max, has.max = s.float(), true
		case "zero":
			h.Zero = uint64(s.within(0, math.MaxInt64))
		case "zero_threshold":
			h.ZeroThreshold = s.float()
		case "positive":
			h.Positive = bins(&s)
		case "negative":
			h.Negative = bins(&s)
		default:
			s.value()
		}
	}
	if s.err != nil {
		return nil, newFault(metric.CodeHistogramInvalid, "the histogram cannot be read: "+s.err.Error())
	}
	if !has.scale || !has.count || !has.sum || has.min != has.max {
		return nil, newFault(metric.CodeHistogramInvalid, "a histogram has scale, count and sum, and both of min and max or neither")
	}
	h.HasExtremes = has.min
	if n := len(h.Positive.Counts) + len(h.Negative.Counts); n > MaxSampleBins {
		return nil, newFault(metric.CodeHistogramInvalid, fmt.Sprintf("the histogram has %d bins; at most %d are allowed: send a lower scale", n, MaxSampleBins))
	}
	if err := h.Validate(); err != nil {
		return nil, newFault(metric.CodeHistogramInvalid, err.Error())
	}
	return h, nil
}

// bins reads the bins of one sign.
func bins(s *scanner[[]byte]) (b aggregate.Bins) {
	if s.peek() != '{' {
		s.fail(errors.New("bins must be an object"))
	}
	s.take('{')
	for n := 0; s.more(n, '}'); n++ {
		name := s.unquoted()
		s.take(':')
		switch string(name) {
		case "offset":
			b.Offset = int32(s.within(math.MinInt32, math.MaxInt32))
		case "counts":
			b.Counts = counts(s)
		default:
			s.value()
		}
	}
	return b
}

// counts reads a list of whole numbers.
func counts(s *scanner[[]byte]) (all []uint64) {
	s.take('[')
	for n := 0; s.more(n, ']'); n++ {
		if n == MaxSampleBins {
			s.fail(fmt.Errorf("more than %d bins: send a lower scale", MaxSampleBins))
			break
		}
		all = append(all, uint64(s.within(0, math.MaxInt64)))
	}
	return all
}

// within reads a whole number that lies in [least, most].
func (s *scanner[T]) within(least, most int64) int64 {
	v := s.integer()
	if v < least || v > most {
		s.fail(fmt.Errorf("%d is out of range", v))
		return 0
	}
	return v
}

// appendHistogram appends what histogram reads. What is zero or empty is left out.
func appendHistogram(dst []byte, h *aggregate.Histogram) []byte {
	dst = strconv.AppendInt(append(dst, `{"scale":`...), int64(h.Scale), 10)
	dst = strconv.AppendUint(append(dst, `,"count":`...), h.Count, 10)
	dst = appendFloat(append(dst, `,"sum":`...), h.Sum)
	if h.HasExtremes {
		dst = appendFloat(append(dst, `,"min":`...), h.Min)
		dst = appendFloat(append(dst, `,"max":`...), h.Max)
	}
	if h.Zero != 0 {
		dst = strconv.AppendUint(append(dst, `,"zero":`...), h.Zero, 10)
	}
	if h.ZeroThreshold != 0 {
		dst = appendFloat(append(dst, `,"zero_threshold":`...), h.ZeroThreshold)
	}
	dst = appendCounts(dst, `,"positive":`, h.Positive)
	dst = appendCounts(dst, `,"negative":`, h.Negative)
	return append(dst, '}')
}

func appendCounts(dst []byte, member string, b aggregate.Bins) []byte {
	if len(b.Counts) == 0 {
		return dst
	}
	dst = append(dst, member...)
	dst = strconv.AppendInt(append(dst, `{"offset":`...), int64(b.Offset), 10)
	dst = append(dst, `,"counts":[`...)
	for i, n := range b.Counts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, n, 10)
	}
	return append(dst, "]}"...)
}

// appendFloat appends a text that reads back as the same bits, -0 included: the digits of a whole number, else the shortest one.
func appendFloat(dst []byte, v float64) []byte {
	const exact = 1 << 53
	if n := int64(v); v > -exact && v < exact && float64(n) == v && (n != 0 || !math.Signbit(v)) {
		return strconv.AppendInt(dst, n, 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// histogramBytes is at least what appendHistogram appends.
func histogramBytes(h *aggregate.Histogram) int {
	const head = len(`{"scale":-128,"count":,"sum":,"min":,"max":,"zero":,"zero_threshold":,"positive":{"offset":,"counts":[]},"negative":{"offset":,"counts":[]}}`)
	n := head + 4*MaxValueText + 2*20 + 2*11
	for _, counts := range [][]uint64{h.Positive.Counts, h.Negative.Counts} {
		for _, c := range counts {
			n += len(",0")
			for ; c > 9; c /= 10 {
				n++
			}
		}
	}
	return n
}
