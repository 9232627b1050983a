package statsd

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"pulseboard/metric"
	"pulseboard/wire"
)

// Signs says what a sign before the value of a gauge means.
type Signs string

// What it may mean. The protocols differ in it, and a line does not say of which it is.
const (
	SignsChange Signs = "change" // +3 and -3 change the gauge, as StatsD has it.
	SignsValue  Signs = "value"  // -3 is a number below 0, as clients of Datadog send it.
)

// maxRepeats is how many values a sampled timer may stand for.
const maxRepeats = 1000

// decoder makes events of lines. Of series it remembers names and tags, so that a line of one that it knows
// costs no allocation.
type decoder struct {
	limits metric.Limits
	signs  Signs
	cut    bool // Tags beyond the limits are cut to fit.
	held   held
	series wire.Memory[series]

	batch  *wire.Batch // What is appended to.
	number uint64      // Of the batch.
	key    []byte      // Scratch space.
}

// series is what the head and the tags of a line say, and what is held of it.
type series struct {
	name  string
	tags  metric.Tags
	cut   bool // Tags were cut to fit.
	fault *metric.Fault
	gauge *heldGauge
	set   *heldSet
}

// Bytes implements wire.Sized. The texts of name and tags are those of the key.
func (s series) Bytes() int {
	n := 32 * len(s.tags)
	if s.fault != nil {
		n += 48 + len(s.fault.Detail)
	}
	return n
}

func newDecoder(c Config) *decoder {
	return &decoder{limits: c.Limits, signs: c.Signs, cut: c.CutTags, held: newHeld(heldBytes), series: wire.Memory[series]{Room: c.Room}}
}

// into has the events that follow appended to a batch.
func (d *decoder) into(b *wire.Batch) {
	d.batch = b
	d.number++
}

// line takes a line that is not empty, which has arrived now (epoch ms), whole or not at all.
func (d *decoder) line(text []byte, now int64) Fault {
	l, f := parse(text)
	if f.Code != "" {
		return f
	}
	s := d.find(&l)
	if s.fault != nil {
		return Fault{s.fault.Code, s.fault.Detail, nil}
	}
	at := now
	if l.time != 0 {
		at = l.time
		switch d.limits.Check(at, now, now) {
		case metric.CodeTooLate:
			return Fault{metric.CodeTooLate, "the time T of the line is longer ago than the lateness allows (--lateness)", nil}
		case metric.CodeFromTheFuture:
			return Fault{metric.CodeFromTheFuture, "the time T of the line is further ahead of the time here than is allowed (--skew)", nil}
		}
	}
	before := len(d.batch.Events)
	switch l.kind {
	case gauge:
		f = d.gauge(s, &l, now)
	case set:
		f = d.set(s, &l, now)
	default:
		f = d.values(s, &l, at)
	}
	if s.cut {
		d.batch.Cut += len(d.batch.Events) - before
	}
	return f
}

// values adds the values of counters and timers.
func (d *decoder) values(s *series, l *line, at int64) Fault {
	e := metric.Event{Metric: s.name, Tags: s.tags, Time: at}
	repeats := 1
	if l.kind == counter {
		e.Kind = metric.Delta
	} else if l.rate < 1 {
		if 1/l.rate > maxRepeats+0.5 {
			return malformed("the sample rate of ms, h and d must be at least 0.001", nil)
		}
		repeats = int(math.Round(1 / l.rate))
	}
	before := len(d.batch.Events)
	for rest, more := l.values, true; more; {
		var text []byte
		text, rest, more = bytes.Cut(rest, []byte{':'})
		v, f := finite(text)
		if f.Code == "" && l.kind == counter && l.rate < 1 {
			if v = perRate(v, l.rate); math.IsInf(v, 0) {
				f = Fault{metric.CodeValueNotFinite, "the value by its sample rate is beyond the numbers that 64 bits hold", text}
			}
		}
		if f.Code != "" {
			d.batch.Events = d.batch.Events[:before]
			return f
		}
		e.Value = v
		for range repeats {
			d.batch.Events = append(d.batch.Events, e)
		}
	}
	return Fault{}
}

// perRate is what a sampled counter has counted. Rates are written in decimals, so 1/rate is often a whole number but
// for the rounding of the rate: then whole numbers stay whole.
func perRate(v, rate float64) float64 {
	if n := math.Round(1 / rate); math.Abs(n*rate-1) < 1e-9 {
		return v * n
	}
	return v / rate
}

func finite(text []byte) (float64, Fault) {
	v, ok := number(text)
	switch {
	case !ok:
		return 0, malformed("the value must be a decimal number", text)
	case math.IsInf(v, 0):
		return 0, Fault{metric.CodeValueNotFinite, "the value is beyond the numbers that 64 bits hold", text}
	}
	return v, Fault{}
}

// gauge makes one event of the last value of a gauge. A sample rate says nothing here.
func (d *decoder) gauge(s *series, l *line, now int64) Fault {
	var g *heldGauge
	v, changes := 0.0, false
	if l.time == 0 { // A value of another time is not what the gauge stands at.
		if g = d.held.gauge(s, now); g != nil {
			v = g.value
		}
	}
	for rest, more := l.values, true; more; {
		var text []byte
		text, rest, more = bytes.Cut(rest, []byte{':'})
		n, f := finite(text)
		if f.Code != "" {
			return f
		}
		if d.signs == SignsChange && (text[0] == '+' || text[0] == '-') {
			v, changes = v+n, true
		} else {
			v, changes = n, false
		}
	}
	e := metric.Event{Metric: s.name, Value: v, Tags: s.tags, Time: now, Kind: metric.Gauge}
	switch {
	case math.IsInf(v, 0):
		return Fault{metric.CodeValueNotFinite, "the gauge with this change is beyond the numbers that 64 bits hold", l.values}
	case changes && l.time != 0:
		return malformed("a change of a gauge has no time: T is for values", l.values)
	case l.time != 0:
		e.Time = l.time
	case g != nil:
		d.hold(g, &e)
		return Fault{}
	case changes:
		return Fault{CodeHeldFull, "there is no room to hold what one more signed gauge stands at", nil}
	}
	d.batch.Events = append(d.batch.Events, e)
	return Fault{}
}

// hold makes e the event of a gauge that is held. Of events of one time the greater value would stay, whichever was the last; so
// of the values that come in one millisecond the last one takes the place of the others.
func (d *decoder) hold(g *heldGauge, e *metric.Event) {
	const step = 1000 // The clock was set back by more: begin with it anew.
	g.value, g.used = e.Value, e.Time
	if g.at > e.Time && g.at-e.Time < step {
		e.Time = g.at
	}
	if g.at == e.Time {
		if g.batch == d.number {
			d.batch.Events[g.index].Value = e.Value
			return
		}
		e.Time++
	}
	g.at, g.batch, g.index = e.Time, d.number, len(d.batch.Events)
	d.batch.Events = append(d.batch.Events, *e)
}

func (d *decoder) set(s *series, l *line, now int64) Fault {
	if l.time != 0 {
		return malformed("a set has no time: it counts what comes in ten seconds", nil)
	}
	d.endSets(now)
	if !d.held.add(s, l.values) {
		return Fault{CodeHeldFull, "there is no room to hold more values of sets", nil}
	}
	return Fault{}
}

// endSets makes events of sets whose interval has ended by now: how many values each had.
func (d *decoder) endSets(now int64) {
	end := d.held.setsEnd
	if now < end && now >= end-SetInterval.Milliseconds() {
		return
	}
	d.held.closeSets(now, func(set *heldSet) { d.count(set, min(set.end-1, now)) })
}

// endAllSets is endSets of intervals that have not ended too.
func (d *decoder) endAllSets(now int64) {
	d.held.closeSets(now, func(set *heldSet) { d.count(set, min(set.end-1, now)) })
}

func (d *decoder) count(set *heldSet, at int64) {
	d.batch.Events = append(d.batch.Events, metric.Event{Metric: set.name, Value: float64(len(set.values)), Tags: set.tags, Time: at, Kind: metric.Gauge})
}

// find returns the series of a line; it is valid until the next call.
func (d *decoder) find(l *line) *series {
	d.key = append(append(d.key[:0], l.head...), l.tags...)
	d.key = binary.LittleEndian.AppendUint32(d.key, uint32(len(l.head)))
	if known := d.series.Find(d.key); known != nil {
		return &known.Value
	}
	text := string(d.key)
	head := len(l.head)
	return &d.series.Add(text, newSeries(text[:head], text[head:head+len(l.tags)], d.cut)).Value
}

// newSeries reads the name before the colon, with tags behind it as Graphite (name;k=v) and Influx (name,k=v) have
// them, and the tags of DogStatsD. cut has those beyond the limits cut to fit.
func newSeries(head, dogTags string, cut bool) (s series) {
	s.name = head
	if i := strings.IndexAny(head, ";,"); i >= 0 {
		s.name = head[:i]
		for pair := range strings.SplitSeq(head[i+1:], head[i:i+1]) {
			key, value, ok := strings.Cut(pair, "=")
			if !ok {
				s.fault = &metric.Fault{Code: metric.CodeTagsInvalid, Detail: malformed("a tag behind the name must be key=value", []byte(pair)).Detail()}
				return s
			}
			s.tags = append(s.tags, metric.Tag{Key: key, Value: value})
		}
	}
	for pair := range strings.SplitSeq(dogTags, ",") {
		key, value, ok := strings.Cut(pair, ":")
		if !ok {
			value = "true"
		}
		if pair != "" {
			s.tags = append(s.tags, metric.Tag{Key: key, Value: value})
		}
	}
	if err := metric.ValidateName(s.name); err != nil {
		s.fault = &metric.Fault{Code: metric.CodeNameInvalid, Detail: err.Error()}
		return s
	}
	s.tags = slices.DeleteFunc(s.tags, func(t metric.Tag) bool { return t.Value == "" })
	slices.SortFunc(s.tags, func(a, b metric.Tag) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	s.tags = slices.Clip(slices.Compact(s.tags))
	if cut {
		s.tags, s.cut = s.tags.Fit()
	}
	s.fault = metric.CheckTags(s.tags)
	return s
}
