package prometheus

import (
	"encoding/binary"
	"slices"
	"strings"

	"pulseboard/metric"
)

// nameLabel is the label that holds the name of a metric.
const nameLabel = "__name__"

// series is what the labels of a time series stand for.
type series struct {
	metric string
	tags   metric.Tags
	json   string // The tags as they stand in records.
	cut    bool   // The tags did not fit.
	fault  *metric.Fault
}

// Bytes implements wire.Sized.
func (s series) Bytes() int {
	const tag, fault = 32, 100
	n := tag*len(s.tags) + len(s.json)
	if s.fault != nil {
		n += fault + len(s.fault.Detail)
	}
	return n
}

// appendText appends one half of a label: its length, then its text.
func appendText(dst, text []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// makeSeries reads what appendText wrote. Names and values are parts of it.
func makeSeries(labels string, cut bool) (s series) {
	next := func() string {
		size, n := binary.Uvarint([]byte(labels[:min(len(labels), binary.MaxVarintLen64)]))
		text := labels[n : n+int(size)]
		labels = labels[n+int(size):]
		return text
	}
	for len(labels) > 0 {
		name, value := next(), next()
		switch {
		case name == nameLabel:
			s.metric = value
		case value != "":
			s.tags = append(s.tags, metric.Tag{Key: name, Value: value})
		}
	}
	slices.SortStableFunc(s.tags, func(a, b metric.Tag) int { return strings.Compare(a.Key, b.Key) })
	if cut {
		s.tags, s.cut = s.tags.Fit()
	}
	s.tags = slices.Clip(s.tags)
	switch {
	case s.metric == "":
		s.fault = &metric.Fault{Code: metric.CodeNameMissing, Detail: "the series has no label " + nameLabel}
	case !metric.ValidName(s.metric):
		s.fault = &metric.Fault{Code: metric.CodeNameInvalid, Detail: metric.ValidateName(s.metric).Error()}
	default:
		s.fault = metric.CheckTags(s.tags)
	}
	if s.fault == nil && len(s.tags) > 0 {
		s.json = s.tags.String()
	}
	return s
}
