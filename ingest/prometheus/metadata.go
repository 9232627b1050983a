package prometheus

import (
	"pulseboard/ingest/internal/protofields"
	"pulseboard/metric"
	"pulseboard/wire"
)

// The types of metrics, of 1.0 and 2.0.
const (
	typeCounter        = 1
	typeGauge          = 2
	typeHistogram      = 3
	typeGaugeHistogram = 4
	typeSummary        = 5
	typeInfo           = 6
	typeStateSet       = 7
)

// isOfValues reports whether the series of a metric of this type are parts of what counts values.
func isOfValues(kind uint64) bool {
	return kind == typeHistogram || kind == typeGaugeHistogram || kind == typeSummary
}

// metadata2 is what a series of 2.0 says of its metric; texts by their symbols, of which 0 is empty.
type metadata2 struct{ kindOf, help, unit uint64 }

func readMetadata2(text []byte) (m metadata2) {
	for f := (protofields.Fields{Text: text}); f.Next(); {
		switch f.Number {
		case 1:
			m.kindOf = f.Bits
		case 3:
			m.help = f.Bits
		case 4:
			m.unit = f.Bits
		}
	}
	return m
}

// kind is that of its samples.
func (m metadata2) kind() metric.Kind {
	switch m.kindOf {
	case typeGauge, typeInfo, typeStateSet:
		return metric.Gauge
	}
	return metric.Cumulative
}

// metadata1 reads what 1.0 says of a family of metrics, mostly in a request of its own: it is of all metrics that a family of its type can
// have.
func (d *Decoder) metadata1(text []byte) error {
	var family, unit, help []byte
	kind := uint64(0)
	f := protofields.Fields{Text: text}
	for f.Next() {
		switch f.Number {
		case 1:
			kind = f.Bits
		case 2:
			family = f.Bytes
		case 4:
			help = f.Bytes
		case 5:
			unit = f.Bytes
		}
	}
	if f.Err != nil || len(unit) == 0 && len(help) == 0 {
		return f.Err
	}
	for _, ending := range endings(kind) {
		name := string(family) + ending
		if len(d.out.Said) >= d.limit || !metric.ValidName(name) {
			continue
		}
		s := wire.Said{Metric: name, Unit: unit, Help: help}
		if ending == "_count" {
			s.Unit = []byte("1")
		}
		d.out.Batch.Batch.Say(s)
	}
	return nil
}

// endings are those of the metrics of a family. In the format of OpenMetrics a family lacks what its counter ends in.
func endings(kind uint64) []string {
	switch kind {
	case typeCounter:
		return []string{"", "_total"}
	case typeHistogram, typeGaugeHistogram:
		return []string{"", "_bucket", "_sum", "_count"}
	case typeSummary:
		return []string{"", "_sum", "_count"}
	case typeInfo:
		return []string{"", "_info"}
	}
	return []string{""}
}
