package textbook

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/aggregate"
	"pulseboard/metric"
	"pulseboard/sources"
	"pulseboard/wire"
)

// Options are serialised into the pipeline.
type Options struct {
	Keys     []string // Metric keys.
	PeriodMs int64    // A window ends at each multiple since the epoch.
	Limits   metric.Limits
	SinceMs  int64 // Windows that begin before are incomplete.
	FromMs   int64 // Results of windows that end after this,
	ToMs     int64 // and not after this; 0 = without end.
	Prefix   string
}

// Compute computes queries in the textbook form: PCollection<wire.Result> of
// PCollection<*sources.Batch>, one result per query and window that has events.
func Compute(s beam.Scope, o Options, batches beam.PCollection) (beam.PCollection, error) {
	s = s.Scope("Compute")
	var lengths []int
	for _, key := range o.Keys {
		q, err := metric.ParseKey(key)
		if err != nil {
			return beam.PCollection{}, err
		}
		if !slices.Contains(lengths, q.WindowSeconds) {
			lengths = append(lengths, q.WindowSeconds)
		}
	}
	// PCollection<KV<string, Sample>>: a query and a group. In one step for all
	// lengths, because batches have no wire form: they must not leave this stage.
	samples := beam.ParDo(s, &selectFn{Options: o}, batches)
	period := time.Duration(o.PeriodMs) * time.Millisecond
	all := make([]beam.PCollection, 0, len(lengths))
	for _, seconds := range lengths {
		length := time.Duration(seconds) * time.Second
		shift := (length % period).Milliseconds()
		s := s.Scope(fmt.Sprint(length))
		// PCollection<KV<string, Sample>>, at their event times.
		timed := beam.ParDo(s, &timeFn{Seconds: seconds, ShiftMs: shift}, samples)
		// PCollection<KV<string, Accumulator>>
		accs := SlidingAccumulators(s, timed, length, period)
		// PCollection<KV<string, Part>>: the key is the query's.
		parts := beam.ParDo(s, &partFn{}, accs)
		// PCollection<wire.Result>
		made := beam.ParDo(s, &resultFn{Options: o, ShiftMs: shift}, beam.GroupByKey(s, parts))
		all = append(all, beam.WindowInto(s, window.NewGlobalWindows(), made))
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return beam.Flatten(s, all...), nil
}

// selectFn decides about each event as PreAggregateFn does, and emits it once
// for every query that it belongs to.
type selectFn struct {
	Options Options

	queries map[string][]selection // By metric.
}

type selection struct {
	key   string
	query metric.Query
	needs aggregate.Needs
}

func init() {
	beam.RegisterDoFn(&selectFn{})
	beam.RegisterDoFn(&timeFn{})
	register.Emitter3[beam.EventTime, string, Sample]()
}

// Setup is called by the SDK, like the method below.
func (f *selectFn) Setup() error {
	f.queries = make(map[string][]selection)
	for _, key := range f.Options.Keys {
		q, err := metric.ParseKey(key)
		if err != nil {
			return err
		}
		needs := aggregation(q).Needs
		q, _ = q.OfBuckets()
		f.queries[q.Metric] = append(f.queries[q.Metric], selection{key, q, needs})
	}
	return nil
}

// ProcessElement emits the events of a batch.
func (f *selectFn) ProcessElement(b *sources.Batch, emit func(string, Sample)) {
	for i := range b.Records {
		rec := &b.Records[i]
		for j := range rec.Events {
			e := &rec.Events[j]
			at, code := rec.Verdict(e, f.Options.Limits)
			if code != "" {
				continue
			}
			var histogram []byte
			if e.Histogram != nil {
				histogram = aggregate.AppendHistogram(nil, e.Histogram)
			}
			for _, s := range f.queries[e.Metric] {
				if s.query.Filter.Match(e.Tags) {
					key := s.key + separator + string(e.Tags.Pick(s.query.GroupBy).AppendKey(nil))
					emit(key, Sample{
						Value: e.Value, Time: at, Needs: s.needs, Window: s.query.WindowSeconds,
						Series: string(e.Tags.AppendKey(nil)), Nanos: e.Nanos, Start: e.Start, Flags: e.Flags(), Stale: e.Stale, Histogram: histogram,
					})
				}
			}
		}
	}
}

// timeFn gives the samples for windows of one length their event time.
//
// Beam's sliding windows begin at multiples of the period, those of Pulseboard end at multiples of it. Event times are
// shifted by the difference here, and window ends back again in resultFn.
//
// A sample that later ones are compared with stands in the windows that begin up to the lookback after it too: once more a window's length
// later, and so on, which is once in each.
type timeFn struct {
	Seconds int
	ShiftMs int64
}

// ProcessElement is called by the SDK.
func (f *timeFn) ProcessElement(key string, v Sample, emit func(beam.EventTime, string, Sample)) {
	if v.Window != f.Seconds {
		return
	}
	length, last := int64(f.Seconds)*1000, v.Time
	if v.reachesOn() {
		last += aggregate.Lookback + length
	}
	for at := v.Time; at <= last; at += length {
		emit(mtime.FromMilliseconds(at+f.ShiftMs), key, v)
	}
}

// separator stands between a metric key, which has none, and the key of the tags.
const separator = "\x00"

// Part is one resulting series of a query.
type Part struct {
	Group string
	Acc   Accumulator
}

func init() {
	register.Function1x1(encodePart)
	register.Function1x2(decodePart)
	beam.RegisterCoder(reflect.TypeFor[Part](), encodePart, decodePart)
	beam.RegisterDoFn(&partFn{})
	register.Emitter2[string, Part]()
	register.Iter1[Part]()
	beam.RegisterDoFn(&resultFn{})
	register.Function1x2(encodeResult)
	register.Function1x2(decodeResult)
	beam.RegisterCoder(reflect.TypeFor[wire.Result](), encodeResult, decodeResult)
}

func encodePart(p Part) []byte {
	b := binary.AppendUvarint(nil, uint64(len(p.Group)))
	return append(append(b, p.Group...), encodeAccumulator(p.Acc)...)
}

func decodePart(b []byte) (Part, error) {
	r := aggregate.Reader{Rest: b}
	group := r.Text()
	a, err := decodeAccumulator(r.Rest)
	if r.Bad {
		err = errors.New("cannot read a part: truncated")
	}
	return Part{group, a}, err
}

func encodeResult(r wire.Result) ([]byte, error) { return r.Encode(), nil }

func decodeResult(b []byte) (wire.Result, error) {
	r, err := wire.DecodeResult(b)
	switch {
	case err != nil:
		return wire.Result{}, err
	case r.Key == "":
		return wire.Result{}, errors.New("cannot read a result: it is of no query")
	}
	return *r, nil
}

type partFn struct{}

// ProcessElement is called by the SDK.
func (*partFn) ProcessElement(key string, a Accumulator, emit func(string, Part)) {
	query, group, _ := strings.Cut(key, separator)
	emit(query, Part{group, a})
}

// resultFn puts the series of a query and a window together.
type resultFn struct {
	Options Options
	ShiftMs int64
}

// ProcessElement is called by the SDK.
func (f *resultFn) ProcessElement(w beam.Window, key string, parts func(*Part) bool, emit func(wire.Result)) {
	end := int64(w.(window.IntervalWindow).End) - f.ShiftMs
	if end <= f.Options.FromMs || f.Options.ToMs > 0 && end > f.Options.ToMs {
		return
	}
	m, err := metric.ParseKey(key)
	if err != nil {
		return // Setup has parsed it.
	}
	start := end - int64(m.WindowSeconds)*1000
	needs := aggregation(m).Needs
	_, buckets := m.OfBuckets()
	var values windowValues
	var p Part
	reach := m.Reach()
	for parts(&p) {
		if slices.ContainsFunc(p.Acc.Kept, func(v Sample) bool { return v.reachesOn() }) {
			reach = m.JoinReach()
		}
		// A bucket that did not grow is one all the same.
		if acc, ok := p.Acc.whole(needs, start, end); ok || buckets && acc.More.Stand.Alive {
			values.add(p.Group, acc)
		}
	}
	if len(values.groups) == 0 {
		return
	}
	r := wire.Result{
		Key: f.Options.Prefix + key, WindowStart: start, WindowEnd: end, PrevEnd: end - f.Options.PeriodMs, Due: []int64{f.Options.PeriodMs},
		NewestEvent: &values.newest, Complete: end-reach.Milliseconds() >= f.Options.SinceMs, Matched: len(values.groups), UnknownStarts: values.unknownStarts, Error: values.error,
	}
	if m.First == metric.FirstCounts {
		r.UnknownStarts = 0
	}
	r.Series, r.Truncated, r.SeriesVersion = values.series(m)
	r.Error = values.error
	emit(r)
}
