package aggregate

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unsafe"
)

// Other is the tags of the series that takes the events of series that a limit
// turned away. It is no encoding of tags, so it equals those of no event.
const Other = "\x00other"

// Options are the limits of a Store.
type Options struct {
	Retain          int64    // Slices kept behind the newest.
	SliceMs         int64    // How long a slice is; 0 = 1000.
	Joins           Joins    // Of the samples of counters; the zero value has the usual lookback.
	SeriesPerMetric int      // More go to the series Other; 0 = no limit.
	Budget          *Budget  // Shared by several stores; nil = no limit.
	Observer        Observer // Learns what the store holds; nil = none does.
}

// Store keeps the slices of every series of a key group for a stated time, and
// the segment trees of the selectors in use. A new selector is built from the
// slices that are there, so that its first window is as full as an old one's.
//
// A Store is not safe for concurrent use.
type Store struct {
	options  Options
	newest   int64
	swept    int64
	begun    bool
	metrics  map[string]*metricSeries
	series   int
	other    map[string]int64 // Events turned away since the last TakeOther, by metric.
	bytes    int64            // About what it takes.
	account  *account
	allowed  allowance
	keep     int64 // Slices kept behind the newest: Retain, fewer while the budget is exceeded.
	first    int64 // The slice it began with.
	lost     int64 // The newest slice that was forgotten.
	dropped  int64 // The newest slice with events of a metric that found no room, not even as Other.
	scratch  codec
	joiner   joiner
	restored bool   // What is added was held before.
	changed  []feed // Whose groups have slices to be refreshed.

	// Of the row that is being added.
	fresh   []int           // The names without a series.
	touched []*metricSeries // Of which it has series.
	groups  []*group        // With a sum of these.
}

type metricSeries struct {
	name      string
	series    map[string]*series // By tags.
	selectors map[string]*Selector
	builds    map[*Selector]bool // Being built; they are fed already.

	ranked   []*series // Rising by tags.
	unranked []*series // Those that came since.
	placed   []*Acc    // What the row that is being added has, by rank; all nil between two rows.
	marked   []uint64  // A bit for each of these.
	touched  bool      // Some are there.

	histograms bool // Of some series, see there.

	plain    int   // Series without Other.
	lost     int64 // Events of this slice, or an older one, were dropped before it was known.
	observer MetricObserver
}

// NewStore returns an empty store.
func NewStore(o Options) *Store {
	if o.Budget == nil {
		o.Budget = NewBudget(math.MaxInt64, 1, 1)
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	return &Store{
		options: o, metrics: make(map[string]*metricSeries), other: make(map[string]int64),
		account: o.Budget.open(), allowed: o.Budget.first(), keep: o.Retain, lost: math.MinInt64 / 2, dropped: math.MinInt64 / 2,
		joiner: newJoiner(&o),
	}
}

// Merge adds a table of slices. The table is not kept.
func (s *Store) Merge(t Table) {
	// In their order, in which the series take them up without packing anew what is packed.
	for _, slice := range slices.Sorted(maps.Keys(t)) {
		if !s.begun {
			s.first = slice
		}
		if !s.begun || slice > s.newest {
			s.newest, s.begun = slice, true
		}
		if slice <= s.newest-s.options.Retain {
			continue // Older than anything that is asked for.
		}
		s.mergeRow(slice, t[slice])
	}
	s.refresh()
	s.sweep()
}

// Restore adds what was read before, in one go: series may take the whole budget for it.
func (s *Store) Restore(t Table) {
	s.allowed = s.options.Budget.whole()
	s.Merge(t)
	s.allowed = s.options.Budget.settle(s.account)
}

// Untracked is the name, in TakeOther, of all metrics together that found no room.
const Untracked = "__other__"

// mergeRow adds the accumulators of a slice. Which of several new series a limit lets in, and the last bits
// of what series add up to, must hang on the events alone, not on the order in which series came: so the new ones
// are let in first, by their names, and then all are added in the order of their tags.
func (s *Store) mergeRow(slice int64, row *Row) {
	fresh := s.fresh[:0]
	for i, n := range row.names {
		if n.store != s || n.held == nil || n.held.gone {
			n.store, n.held = s, s.find(n)
		}
		if n.held == nil {
			fresh = append(fresh, i)
		}
	}
	if len(fresh) > 0 {
		slices.SortStableFunc(fresh, func(a, b int) int { return row.names[a].compare(row.names[b]) })
		for _, i := range fresh {
			s.admit(row.names[i], slice, row.accs[i].events())
		}
	}
	s.fresh = fresh[:0]
	for i, n := range row.names {
		if n.held != nil {
			s.place(n.held, &row.accs[i])
		}
	}
	slices.SortFunc(s.touched, func(a, b *metricSeries) int { return strings.Compare(a.name, b.name) })
	for _, m := range s.touched {
		s.addPlaced(m, slice)
	}
	clear(s.touched)
	s.touched = s.touched[:0]
	for _, i := range fresh {
		if n := row.names[i]; n.held != nil && n.held.tags != n.Tags {
			n.held = nil // What the series Other took may be let in the next time.
		}
	}
}

// find returns the series of a name, nil where there is none.
func (s *Store) find(n *Name) *series {
	if m := s.metrics[n.Metric]; m != nil {
		return m.series[n.Tags]
	}
	return nil
}

// admit gives a name its series: a new one where the limits let it in, else Other, or none.
func (s *Store) admit(n *Name, slice, events int64) {
	if n.held = s.find(n); n.held != nil {
		return // It is in the row twice.
	}
	m := s.metrics[n.Metric]
	if m == nil {
		if s.bytes >= s.allowed.ceiling && s.bytes-s.allowed.ceiling >= s.allowed.slack {
			s.other[Untracked] += events
			s.dropped = max(s.dropped, slice)
			return
		}
		m = s.metric(n.Metric)
	}
	tags := n.Tags
	if s.full(m) {
		s.other[m.name] += events
		tags = Other
		n.held = m.series[tags]
	}
	if n.held == nil {
		n.held = s.addSeries(m, tags)
	}
}

// place puts an accumulator to those that a row has of its metric.
func (s *Store) place(sr *series, a *Acc) {
	m := sr.metric
	if sr.tags == Other {
		a.forget()
	}
	if !m.touched {
		m.rank()
		m.touched = true
		s.touched = append(s.touched, m)
	}
	if b := m.placed[sr.rank]; b != nil {
		b.Merge(a)
		*a = Acc{} // Who goes over the row again must not count it twice.
		return
	}
	m.placed[sr.rank] = a
	m.marked[sr.rank/64] |= 1 << (sr.rank % 64)
}

// addPlaced adds what was placed of a metric, series by series.
func (s *Store) addPlaced(m *metricSeries, slice int64) {
	grown := int64(0)
	for w, marks := range m.marked {
		for ; marks != 0; marks &= marks - 1 {
			rank := w*64 + bits.TrailingZeros64(marks)
			grown += s.addTo(m.ranked[rank], slice, m.placed[rank])
			m.placed[rank] = nil
		}
		m.marked[w] = 0
	}
	m.touched = false
	for _, g := range s.groups {
		grown += g.add(slice, &g.sum)
		g.sum.Reset()
		g.summed = false
	}
	clear(s.groups)
	s.groups = s.groups[:0]
	if grown != 0 {
		s.charge(grown)
	}
}

// addTo adds to a series, and to the sums of its groups; their trees get these once all series of the metric are in.
func (s *Store) addTo(sr *series, slice int64, a *Acc) (grown int64) {
	before, kinds := sr.size(), a.kinds()
	if a.More != nil && !a.More.Marked.isEmpty() {
		a = s.joiner.add(sr, slice, a, s.restored, &s.scratch)
		grown = s.joiner.correct(sr.feeds)
		s.change(sr.feeds, s.joiner.changed)
	} else {
		sr.add(slice, a, &s.scratch)
	}
	grown += sr.size() - before
	sr.metric.observer.Add(slice, kinds, a)
	for _, f := range sr.feeds {
		if g := f.group; !g.summed {
			g.summed = true
			s.groups = append(s.groups, g)
		}
		f.group.sum.Merge(s.joiner.form.of(a, f.selector.needs))
	}
	return grown
}

// change notes slices whose content is no sum of what was added to them.
func (s *Store) change(feeds []feed, slices []int64) {
	if len(slices) == 0 {
		return
	}
	for _, f := range feeds {
		if len(f.group.changed) == 0 {
			s.changed = append(s.changed, f)
		}
		f.group.changed = append(f.group.changed, slices...)
	}
}

// refresh lets the trees know of what change has noted: once for all that was added, since each slice costs a look at all series of its group.
func (s *Store) refresh() {
	for _, f := range s.changed {
		s.joiner.refresh(f.group, f.selector.needs)
	}
	clear(s.changed)
	s.changed = s.changed[:0]
}

// full reports whether a metric may get no further series.
func (s *Store) full(m *metricSeries) bool {
	return s.options.SeriesPerMetric > 0 && m.plain >= s.options.SeriesPerMetric || s.bytes >= s.allowed.ceiling
}

func (s *Store) addSeries(m *metricSeries, tags string) *series {
	sr := &series{tags: tags, metric: m}
	m.series[sr.tags] = sr
	m.unranked = append(m.unranked, sr)
	s.series++
	if sr.tags != Other {
		m.plain++
	}
	grown := sr.size() - m.observer.Bytes()
	m.observer.AddSeries(sr.tags)
	grown += m.observer.Bytes()
	for _, sel := range m.selectors {
		grown += sel.take(sr, true)
	}
	for sel := range m.builds {
		grown += sel.take(sr, false)
	}
	s.charge(grown)
	return sr
}

// Say tells the observer what a sender says of a metric in a slice of pipeline time, if the store holds it.
func (s *Store) Say(metric, unit, help string, slice int64) {
	if m := s.metrics[metric]; m != nil {
		s.observe(m, func() { m.observer.Say(unit, help, slice) })
	}
}

// observe lets the observer of a metric take more memory or less.
func (s *Store) observe(m *metricSeries, call func()) {
	before := m.observer.Bytes()
	call()
	s.charge(m.observer.Bytes() - before)
}

func (s *Store) metric(name string) *metricSeries {
	m := s.metrics[name]
	if m == nil {
		m = &metricSeries{
			name: name, series: make(map[string]*series), lost: s.dropped,
		}
		s.metrics[m.name] = m
		m.observer = s.options.Observer.Observe(m.name)
		s.charge(m.size())
	}
	return m
}

// How many slices lie between two sweeps. They stand at multiples of it, not at a distance
// from where a store began: what is forgotten makes room for others, so two stores that
// were told of the same events must forget the same.
const sweepEvery = 32

// Pass tells that a slice of pipeline time is over, so that what had no event
// for the whole retention is forgotten also where none come any more.
func (s *Store) Pass(slice int64) {
	s.allowed = s.options.Budget.pass(s.account, slice)
	if s.begun && slice > s.newest {
		s.newest = slice
		s.sweep()
	}
}

// sweep forgets slices that are too old, series and groups that had no event
// for the whole retention, and counts what is left.
func (s *Store) sweep() {
	newest := s.newest - Mod(s.newest, sweepEvery)
	if newest == s.swept {
		return
	}
	s.swept = newest
	oldest := newest - s.retain()
	s.lost = max(s.lost, oldest)
	var bytes int64
	for name, m := range s.metrics {
		for tags, sr := range m.series {
			if sr.newest() <= oldest {
				delete(m.series, tags)
				sr.gone = true
				s.series--
				if tags != Other {
					m.plain--
				}
				m.observer.RemoveSeries(tags)
				continue
			}
			sr.forget(oldest)
			bytes += sr.size()
		}
		m.unrank()
		for _, sel := range m.selectors {
			sel.forget(newest, s.options.Retain)
			bytes += sel.size()
		}
		for sel := range m.builds {
			bytes += sel.size()
		}
		held := len(m.series) > 0 || len(m.selectors) > 0 || len(m.builds) > 0
		if m.observer.Swept(held); held {
			bytes += m.size()
		} else {
			delete(s.metrics, name)
		}
	}
	s.charge(bytes - s.bytes)
}

// rank gives all series their places in the order of the tags.
func (m *metricSeries) rank() {
	if len(m.unranked) == 0 {
		return
	}
	slices.SortFunc(m.unranked, func(a, b *series) int { return strings.Compare(a.tags, b.tags) })
	old := len(m.ranked)
	m.ranked = append(m.ranked, m.unranked...)
	// From the end, so that nothing is overwritten that is still to be moved.
	for i, j, to := old-1, len(m.unranked)-1, len(m.ranked)-1; j >= 0; to-- {
		if i >= 0 && m.ranked[i].tags > m.unranked[j].tags {
			m.ranked[to] = m.ranked[i]
			i--
		} else {
			m.ranked[to] = m.unranked[j]
			j--
		}
	}
	clear(m.unranked)
	m.unranked = m.unranked[:0]
	m.number()
}

// unrank leaves out the series that are gone.
func (m *metricSeries) unrank() {
	gone := func(sr *series) bool { return sr.gone }
	m.unranked = slices.DeleteFunc(m.unranked, gone)
	if n := len(m.ranked); n > 0 {
		if m.ranked = slices.DeleteFunc(m.ranked, gone); len(m.ranked) < n {
			m.number()
		}
	}
}

func (m *metricSeries) number() {
	for i, sr := range m.ranked {
		sr.rank = i
	}
	m.placed = slices.Grow(m.placed, len(m.ranked)-min(len(m.placed), len(m.ranked)))[:len(m.ranked)]
	words := (len(m.ranked) + 63) / 64
	m.marked = slices.Grow(m.marked, words-min(len(m.marked), words))[:words]
}

func (s *Store) charge(n int64) {
	s.bytes += n
	s.account.used.Store(s.bytes)
}

// metricSize is what a metric takes, besides its series, its selectors and the observer.
const metricSize = int64(unsafe.Sizeof(metricSeries{})) + 48 + 208 + 16 + mapSlot // Its map of series, and where it stands.

func (m *metricSeries) size() int64 { return metricSize + allocated(len(m.name)) + m.observer.Bytes() }

// retain returns how many slices are kept. While what is there already grows
// beyond the budget, the oldest slices are forgotten, of the stores that hold
// more than their share; windows that reach behind them are not complete.
func (s *Store) retain() int64 {
	switch x := s.allowed.excess; {
	case x > 1:
		s.keep = max(minRetain, int64(float64(min(s.keep, s.newest-max(s.first, s.lost)))/x))
	case x < 7./8 && s.keep < s.options.Retain:
		s.keep = min(s.options.Retain, s.keep+sweepEvery)
	}
	s.keep = min(s.keep, s.options.Retain)
	return s.keep
}

// minRetain is how many slices are kept whatever they take: half of a minute's window.
const minRetain = 64

// Close gives back what the store was charged.
func (s *Store) Close() { s.options.Budget.close(s.account) }

// Series returns how many series the store holds.
func (s *Store) Series() int { return s.series }

// Bytes returns about how much memory the store takes.
func (s *Store) Bytes() int64 { return s.bytes }

// TakeOther returns how many events a limit turned away since the last call, by metric.
func (s *Store) TakeOther() map[string]int64 {
	if len(s.other) == 0 {
		return nil
	}
	other := s.other
	s.other = make(map[string]int64)
	return other
}

// Horizon is the oldest slice of a metric that is held for certain.
func (s *Store) Horizon(metric string) int64 {
	horizon := max(s.newest-s.options.Retain, s.lost) + 1
	if m := s.metrics[metric]; m != nil {
		horizon = max(horizon, m.lost+1)
	} else {
		horizon = max(horizon, s.dropped+1)
	}
	return horizon
}

// JoinsHistograms reports whether a metric has cumulative histograms: what counts of them in a window hangs on samples of up to
// the lookback before it.
func (s *Store) JoinsHistograms(metric string) bool {
	m := s.metrics[metric]
	return m != nil && m.histograms
}

// Oldest returns the oldest slice of a metric that the store holds.
func (s *Store) Oldest(metric string) (slice int64, ok bool) {
	m := s.metrics[metric]
	if m == nil {
		return 0, false
	}
	for _, sr := range m.series {
		if c := sr.oldest(); !ok || c < slice {
			slice, ok = c, true
		}
	}
	return slice, ok
}

// Selector returns the selector with this id of a metric, nil when there is none.
func (s *Store) Selector(metric, id string) *Selector {
	if m := s.metrics[metric]; m != nil {
		return m.selectors[id]
	}
	return nil
}

// Reaches reports whether the trees of a selector hold slices from from on.
func (s *Store) Reaches(sel *Selector, from int64) bool {
	return !s.begun || from > s.newest-sel.span
}

// Drop removes selectors that no query uses any more, of one metric: what it costs
// is the series of the metric, however many selectors go.
func (s *Store) Drop(metric string, ids ...string) {
	m := s.metrics[metric]
	if m == nil {
		return
	}
	some := false
	for _, id := range ids {
		if sel := m.selectors[id]; sel != nil {
			s.charge(-sel.size())
			sel.gone, some = true, true
			delete(m.selectors, id)
		}
	}
	if some {
		m.detach()
	}
}

// detach lets the series feed no selector any more that is gone.
func (m *metricSeries) detach() {
	for _, sr := range m.series {
		sr.feeds = slices.DeleteFunc(sr.feeds, func(f feed) bool { return f.selector.gone })
	}
}
