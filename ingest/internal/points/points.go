// Package points is what decoders share whose samples are points: known by their series and time, in whatever request they come again.
package points

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"pulseboard/metric"
	"pulseboard/wire"
)

// Series is what a time series is known by, checked.
type Series struct {
	Metric string
	Tags   metric.Tags
	JSON   string // The tags as they stand in records.
	Cut    bool   // The tags did not fit.
	Fault  *metric.Fault
}

// NewSeries returns the series of a name and tags, which it sorts. Tags beyond the limits are cut to fit, or are its fault.
func NewSeries(name string, tags metric.Tags, cut bool) Series {
	s := Series{Metric: name, Tags: tags}
	slices.SortStableFunc(s.Tags, func(a, b metric.Tag) int { return strings.Compare(a.Key, b.Key) })
	if cut {
		s.Tags, s.Cut = s.Tags.Fit()
	}
	s.Tags = slices.Clip(s.Tags)
	switch {
	case s.Metric == "":
		s.Fault = &metric.Fault{Code: metric.CodeNameMissing, Detail: "the metric has no name"}
	case !metric.ValidName(s.Metric):
		s.Fault = &metric.Fault{Code: metric.CodeNameInvalid, Detail: metric.ValidateName(s.Metric).Error()}
	default:
		s.Fault = metric.CheckTags(s.Tags)
	}
	if s.Fault == nil && len(s.Tags) > 0 {
		s.JSON = s.Tags.String()
	}
	return s
}

// Bytes implements wire.Sized, of a series whose names and values are parts of another text.
func (s Series) Bytes() int {
	const tag, fault = 32, 100
	n := tag*len(s.Tags) + len(s.JSON)
	if s.Fault != nil {
		n += fault + len(s.Fault.Detail)
	}
	return n
}

// Batch is a batch of points.
type Batch struct {
	wire.Batch

	Names      []string // Of the metrics, by index.
	NotNumbers int      // Samples without a number, which a chart shows as nothing: they are left out.
}

// Clear takes everything out, and keeps the memory for what comes.
func (b *Batch) Clear() {
	b.Batch.Clear()
	*b = Batch{Batch: b.Batch, Names: b.Names[:0]}
}

// Number adds a point of a counter or gauge. start is when the counter began; one that is not before the point says nothing.
func (b *Batch) Number(s *Series, value float64, kind metric.Kind, at, start int64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		b.NotNumbers++
		return
	}
	b.Add(s, metric.Event{Value: value, Kind: kind, Start: start}, at)
}

// Add adds an event of a series as a point of that time, epoch ms, and its own Nanos, or its fault.
func (b *Batch) Add(s *Series, e metric.Event, at int64) {
	e.Metric, e.Tags, e.Time, e.Point = s.Metric, s.Tags, at, true
	if e.Start < metric.EarliestTime || e.Start >= at || !e.Kind.Grows() {
		e.Start = 0 // It says nothing.
	}
	fault := s.Fault
	if fault == nil {
		fault = metric.TimeFault(at)
	}
	if fault == nil {
		fault = e.Check()
	}
	if fault != nil {
		b.Refuse(s.Metric, *fault)
		return
	}
	if s.Cut {
		b.Cut++
	}
	b.Names = append(b.Names, s.Metric)
	b.Batch.Add(e, s.JSON, nil)
}

// Refuse adds the fault of what was sent of a metric.
func (b *Batch) Refuse(name string, f metric.Fault) {
	b.Names = append(b.Names, name)
	b.Batch.Refuse(f)
}

// Say takes note of what a sender says of the metrics of the events from one on. ofValues says that these are parts of a histogram or
// summary: the unit is that of the values that it has counted, and how many they are has none.
func (b *Batch) Say(from int, unit, help []byte, ofValues bool) {
	if len(unit) == 0 && len(help) == 0 {
		return
	}
	for i := from; i < len(b.Events); i++ {
		name := b.Events[i].Metric
		if i > from && name == b.Events[i-1].Metric {
			continue
		}
		s := wire.Said{Metric: name, Unit: unit, Help: help}
		if ofValues && strings.HasSuffix(name, "_count") {
			s.Unit = noUnit
		}
		b.Batch.Say(s)
	}
}

var noUnit = []byte("1") //nolint:gochecknoglobals // It is a constant.

// MaxBounds is how many buckets a classic histogram may have, each of which is a series.
const MaxBounds = 200

// BoundText is the bound of a bucket, or a quantile, as Prometheus and OpenMetrics write it.
func BoundText(v float64) string { return string(AppendBound(nil, v)) }

// AppendBound appends BoundText.
func AppendBound(dst []byte, v float64) []byte {
	if math.IsInf(v, 1) {
		return append(dst, "+Inf"...)
	}
	begin := len(dst)
	dst = strconv.AppendFloat(dst, v, 'g', -1, 64)
	if !slices.ContainsFunc(dst[begin:], func(c byte) bool { return c == '.' || c == 'e' || c == 'I' || c == 'N' }) {
		dst = append(dst, ".0"...)
	}
	return dst
}
