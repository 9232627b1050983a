package transforms

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/aggregate"
	"pulseboard/job"
	"pulseboard/metric"
	"pulseboard/sources"
	"pulseboard/wire"
)

// PreAggregateFn decides about each event and adds the good ones to a table per
// slice of pipeline time and key group, which leave when the slice is whole. It is
// fused with the source, which goes on from the end of a slice after a fault.
type PreAggregateFn struct {
	Run       string
	SliceMs   int64
	KeyGroups int
	Keys      Keys
	Limits    metric.Limits // An event that is too late is dropped, and counted; one from the future is a dead letter.
	NameBytes int64         // What the names of series may take that are remembered; 0 = 64 MiB.
	Counted   bool          // Partials are counted from here to their key groups, which are all in this process.

	held    *held
	groups  *Groups
	queries *Queries // Of this batch.
}

// held is what has come of a reader shard and is not emitted yet, and the names of the series that it has.
type held struct {
	partials map[tableID]*Partial
	letters  map[int64][]DeadLetter // By slice.

	groups    []heldGroup
	metrics   map[string]*heldMetric // A memory of what is found otherwise by longer ways.
	addresses int                    // Of tags, in these,
	tagBytes  int64                  // and about what they keep in memory.
	key       []byte
	found     []event // Of one record.
}

// event is one that counts, with where it does. The events of a record are found first and added then: the memory
// that each needs is far away when there are many series, and so the processor waits for that of several at once.
type event struct {
	*metric.Event

	of   *heldMetric
	row  *aggregate.Row
	name *aggregate.Name
	at   int64 // Event time, epoch ms.
}

// heldGroup is what is remembered of a key group. The ids of its names have no gaps, so that the rows of its tables are small.
type heldGroup struct {
	names *aggregate.Names
	usual int // How many series the widest row of the last partial had: as many as that of the next one is likely to have.
}

// heldMetric is what is needed for each event of a metric.
type heldMetric struct {
	name     string
	group    int64
	byTags   map[*metric.Tag]*aggregate.Name // By their address: a decoder gives equal tags the same.
	untagged *aggregate.Name

	queries *Queries // When these are those of the batch, needs is right.
	needs   aggregate.Needs

	row             *aggregate.Row // Of the last event, nil when it has left,
	rowOf, rowSlice int64          // in the partial of this slice of pipeline time, and its slice.
}

func newHeld(keyGroups int) *held {
	h := &held{
		partials: make(map[tableID]*Partial), letters: make(map[int64][]DeadLetter),
		groups: make([]heldGroup, keyGroups), metrics: make(map[string]*heldMetric),
	}
	for g := range h.groups {
		h.groups[g].names = aggregate.NewNames()
	}
	return h
}

func (f *PreAggregateFn) metric(name string) *heldMetric {
	m := f.held.metrics[name]
	if m == nil {
		m = &heldMetric{name: name, group: KeyGroup(name, f.KeyGroups), byTags: make(map[*metric.Tag]*aggregate.Name)}
		f.held.metrics[name] = m
	}
	if m.queries != f.queries {
		m.queries, m.needs = f.queries, f.queries.needs[name]
	}
	return m
}

// name returns the name of an event's series; now is the slice of pipeline time.
func (h *held) name(m *heldMetric, e *metric.Event, now int64) *aggregate.Name {
	n := m.untagged
	if len(e.Tags) > 0 {
		n = m.byTags[&e.Tags[0]]
	}
	if n != nil {
		n.See(now)
		return n
	}
	h.key = e.Tags.AppendKey(h.key[:0])
	n = h.groups[m.group].names.Of(e.Metric, h.key, now)
	if len(e.Tags) == 0 {
		m.untagged = n
	} else {
		m.byTags[&e.Tags[0]] = n
		h.addresses++
		h.tagBytes += addressSize + 2*int64(len(h.key))
	}
	return n
}

const (
	// namesKeptSlices is how long the name of a series is kept that has no events. It only saves making it again.
	namesKeptSlices = 1000
	defaultNames    = 64 << 20
	// addressSize is what an address takes in a map, and the list of tags that it keeps.
	addressSize = 200
)

// forget forgets names that were not seen for long, sooner where they take more than limit, and the addresses of
// tags that their decoders have forgotten.
func (h *held) forget(now, limit int64) {
	known, bytes := 0, int64(0)
	for g := range h.groups {
		known, bytes = known+h.groups[g].names.Len(), bytes+h.groups[g].names.Bytes()
	}
	forgot := false
	for g := range h.groups {
		names := h.groups[g].names
		switch {
		case bytes > limit:
			bytes -= names.Bytes()
			if names.Forget(now); names.Bytes() > limit/int64(2*len(h.groups)) {
				names = aggregate.NewNames()
			}
			bytes += names.Bytes()
			h.groups[g].names, forgot = names, true
		case names.Crowded():
			names.Forget(now - namesKeptSlices)
			forgot = true
		}
	}
	if forgot || h.addresses > 4*known+1024 || h.tagBytes > limit {
		clear(h.metrics)
		h.addresses, h.tagBytes = 0, 0
	}
	for _, m := range h.metrics {
		m.row = nil
	}
}

type tableID struct {
	slice int64 // Of pipeline time.
	group int64
}

// DeadLetter is a record, or one of its events, that cannot be counted.
type DeadLetter struct {
	Key       []byte
	Value     []byte
	Code      string // See docs/protocol.md, "Kafka".
	Detail    string
	Partition int32
	Offset    int64
}

func init() {
	beam.RegisterType(reflect.TypeFor[DeadLetter]())
	beam.RegisterDoFn(&PreAggregateFn{})
	register.Emitter3[beam.EventTime, int64, Partial]()
	register.Emitter1[DeadLetter]()
}

// PreAggregate returns PCollection<KV<KeyGroup, Partial>> and PCollection<DeadLetter>.
func PreAggregate(s beam.Scope, f PreAggregateFn, batches beam.PCollection) (partials, deadLetters beam.PCollection) {
	return beam.ParDo2(s.Scope("PreAggregate"), &f, batches)
}

// StartBundle is called by the SDK, like the method below.
func (f *PreAggregateFn) StartBundle(_ func(beam.EventTime, int64, Partial), _ func(DeadLetter)) (err error) {
	f.groups, err = job.Of[*Groups](f.Run)
	return err
}

// ProcessElement adds the events of a batch, or emits what is whole.
func (f *PreAggregateFn) ProcessElement(b *sources.Batch, emit func(beam.EventTime, int64, Partial), dead func(DeadLetter)) {
	if *b.Held == nil {
		*b.Held = newHeld(f.KeyGroups)
	}
	f.held = (*b.Held).(*held)
	switch b.Kind {
	case sources.Started:
		for g := range int64(f.KeyGroups) {
			f.partial(b.PipelineTime, g, b.CoveredSince)
		}
	case sources.Records:
		// With each batch, not each bundle: events that follow a new percentile at once count in it.
		f.queries = f.groups.queries.Load()
		for i := range b.Records {
			f.addRecord(&b.Records[i], b.CoveredSince)
		}
	case sources.Passed:
		f.emit(b.PipelineTime, emit, dead)
	}
}

// emit lets out the slices that end by then, in their order: the first partial of a key group sets
// its timer. Each partial has its slice's time, so this comes before any windowing.
func (f *PreAggregateFn) emit(until int64, emit func(beam.EventTime, int64, Partial), dead func(DeadLetter)) {
	ids := make([]tableID, 0, len(f.held.partials))
	for id := range f.held.partials {
		if (id.slice+1)*f.SliceMs <= until {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b tableID) int { return cmp.Or(cmp.Compare(a.slice, b.slice), cmp.Compare(a.group, b.group)) })
	for _, id := range ids {
		p := f.held.partials[id]
		delete(f.held.partials, id)
		f.held.groups[id.group].usual = p.Table.Widest()
		if f.Counted {
			f.groups.progress.Emitted(int(id.group), (id.slice+1)*f.SliceMs, p.bytes())
		}
		emit(mtime.FromMilliseconds((id.slice+1)*f.SliceMs-1), f.Keys.of(id.group), *p)
	}
	for _, slice := range slices.Sorted(maps.Keys(f.held.letters)) {
		if (slice+1)*f.SliceMs > until {
			break
		}
		for _, l := range f.held.letters[slice] {
			dead(l)
		}
		delete(f.held.letters, slice)
	}
	f.held.forget(aggregate.Div(until, f.SliceMs)-1, cmp.Or(f.NameBytes, defaultNames))
}

func (f *PreAggregateFn) addRecord(rec *sources.Record, since int64) {
	letter := DeadLetter{Key: rec.Key, Value: rec.Value, Partition: rec.Partition, Offset: rec.Offset}
	if rec.Unreadable.Code != "" {
		letter.Code, letter.Detail = rec.Unreadable.Code, rec.Unreadable.Detail
		f.deadLetter(rec, letter)
		return
	}
	for _, fault := range rec.Faults {
		letter.Code, letter.Detail = fault.Code, fault.Detail
		f.deadLetter(rec, letter)
	}
	for i := range rec.Said {
		f.say(rec, &rec.Said[i], since)
	}
	if len(rec.Events) == 0 {
		return
	}
	m := f.metric(rec.Events[0].Metric)
	now, found := aggregate.Div(rec.PipelineTime, f.SliceMs), f.held.found
	for i := range rec.Events {
		e := &rec.Events[i]
		at, code := rec.Verdict(e, f.Limits)
		if code != "" {
			f.refuse(rec, e, code, at, since)
			continue
		}
		if e.Metric != m.name { // Nobody writes such a record, so it may cost more.
			m = f.metric(e.Metric)
		}
		if slice := aggregate.Div(at, f.SliceMs); m.row == nil || m.rowOf != now || m.rowSlice != slice {
			m.row, m.rowOf, m.rowSlice = f.row(f.partial(rec.PipelineTime, m.group, since), m.group, slice), now, slice
		}
		found = append(found, event{e, m, m.row, f.held.name(m, e, now), at})
	}
	for i := range found {
		e := &found[i]
		e.AddTo(e.row.Acc(e.name), e.of.needs, e.at)
	}
	counted.Add(float64(len(found)))
	clear(found)
	f.held.found = found[:0]
}

// say adds what a record says of its metric to the slice in which it came.
func (f *PreAggregateFn) say(rec *sources.Record, s *wire.Said, since int64) {
	if len(rec.Key) > 0 && string(rec.Key) != s.Metric {
		return
	}
	p := f.partial(rec.PipelineTime, KeyGroup(s.Metric, f.KeyGroups), since)
	p.Said = p.Said.add(s.Metric, metric.MakeAbout(s.Unit, s.Help))
}

// row returns the row of a slice in a partial of a key group.
func (f *PreAggregateFn) row(p *Partial, group, slice int64) *aggregate.Row {
	first := len(p.Table) == 0
	r := p.Table.Row(slice)
	if first { // Most events are of this one.
		r.Grow(f.held.groups[group].usual)
	}
	return r
}

// refuse drops an event, as its fault says.
func (f *PreAggregateFn) refuse(rec *sources.Record, e *metric.Event, code string, at, since int64) {
	switch code {
	case metric.CodeKeyMismatch:
		f.deadLetterEvent(rec, e, code, "the record's key is not the metric_name")
	case metric.CodeFromTheFuture:
		if at < since {
			// Nobody knows how far ahead of what was not read it is; no complete window has it.
			beforeStart.Inc()
			return
		}
		f.deadLetterEvent(rec, e, code, "event_time is ahead of the newest timestamp in its partition")
	case metric.CodeTooLate:
		tooLate.add(e.Metric, 1)
	}
}

func (f *PreAggregateFn) deadLetter(rec *sources.Record, l DeadLetter) {
	slice := aggregate.Div(rec.PipelineTime, f.SliceMs)
	f.held.letters[slice] = append(f.held.letters[slice], l)
}

func (f *PreAggregateFn) deadLetterEvent(rec *sources.Record, e *metric.Event, code, detail string) {
	f.deadLetter(rec, DeadLetter{
		Key: rec.Key, Value: wire.AppendRecord(nil, e.Metric, []metric.Event{*e}),
		Code: code, Detail: detail, Partition: rec.Partition, Offset: rec.Offset,
	})
}

func (f *PreAggregateFn) partial(pipelineTime, group, since int64) *Partial {
	id := tableID{aggregate.Div(pipelineTime, f.SliceMs), group}
	p := f.held.partials[id]
	if p == nil {
		p = &Partial{CoveredSince: since, Table: make(aggregate.Table)}
		if f.Keys == nil {
			p.run = f.Run
		}
		f.held.partials[id] = p
	}
	return p
}
