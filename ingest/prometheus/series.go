package prometheus

import (
	"encoding/binary"

	"pulseboard/ingest/internal/points"
	"pulseboard/metric"
)

// nameLabel is the label that holds the name of a metric.
const nameLabel = "__name__"

// appendText appends one half of a label: its length, then its text.
func appendText(dst, text []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// makeSeries reads what appendText wrote. Names and values are parts of it.
func makeSeries(labels string, cut bool) points.Series {
	next := func() string {
		size, n := binary.Uvarint([]byte(labels[:min(len(labels), binary.MaxVarintLen64)]))
		text := labels[n : n+int(size)]
		labels = labels[n+int(size):]
		return text
	}
	metricName := ""
	var tags metric.Tags
	for len(labels) > 0 {
		name, value := next(), next()
		switch {
		case name == nameLabel:
			metricName = value
		case value != "":
			tags = append(tags, metric.Tag{Key: name, Value: value})
		}
	}
	s := points.NewSeries(metricName, tags, cut)
	if metricName == "" {
		s.Fault.Detail = "the series has no label " + nameLabel
	}
	return s
}
