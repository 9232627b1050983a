package aggregate

import (
	"slices"
	"strings"
)

// Store keeps the slices of every series of a key group for a stated time, and
// the segment trees of the selectors in use. A new selector is built from the
// slices that are there, so that its first window is as full as an old one's.
//
// A Store is not safe for concurrent use.
type Store struct {
	retain  int64 // Slices kept behind the newest.
	newest  int64
	swept   int64
	begun   bool
	metrics map[string]*metricSeries
}

type metricSeries struct {
	series    map[string]*series // By tags.
	selectors map[string]*Selector
}

type series struct {
	tags  string
	cells []cell // Rising by slice, none twice.
	feeds []feed
}

type cell struct {
	slice int64
	acc   Acc
}

// feed is one selector that a series belongs to, and the group that it adds to.
type feed struct {
	selector *Selector
	group    *group
}

// NewStore returns an empty store that keeps retain slices.
func NewStore(retain int64) *Store {
	return &Store{retain: retain, metrics: make(map[string]*metricSeries)}
}

// Merge adds a table of slices, keyed as SeriesKey does. The table is not kept.
func (s *Store) Merge(t Table) {
	for slice, row := range t {
		if !s.begun || slice > s.newest {
			s.newest, s.begun = slice, true
		}
		if slice <= s.newest-s.retain {
			continue // Older than anything that is asked for.
		}
		for key, a := range row {
			metric, tags, ok := CutSeriesKey(key)
			if !ok {
				continue
			}
			s.add(metric, tags, slice, a)
		}
	}
	s.sweep()
}

func (s *Store) add(metric, tags string, slice int64, a *Acc) {
	m := s.metric(metric)
	sr := m.series[tags]
	if sr == nil {
		sr = &series{tags: strings.Clone(tags)}
		m.series[sr.tags] = sr
		for _, sel := range m.selectors {
			sel.take(sr)
		}
	}
	sr.add(slice, a)
	if n := len(sr.cells); sr.cells[0].slice <= s.newest-s.retain-s.retain/8 {
		// Dropping an eighth at a time makes the copying cheap.
		live := slices.IndexFunc(sr.cells, func(c cell) bool { return c.slice > s.newest-s.retain })
		sr.cells = append(make([]cell, 0, n), sr.cells[live:]...)
	}
	for _, f := range sr.feeds {
		f.group.add(slice, a)
	}
}

func (s *Store) metric(name string) *metricSeries {
	m := s.metrics[name]
	if m == nil {
		m = &metricSeries{series: make(map[string]*series), selectors: make(map[string]*Selector)}
		s.metrics[strings.Clone(name)] = m
	}
	return m
}

func (sr *series) add(slice int64, a *Acc) {
	n := len(sr.cells)
	if n == 0 || sr.cells[n-1].slice < slice {
		sr.cells = append(sr.cells, cell{slice, *a})
		return
	}
	i, found := slices.BinarySearchFunc(sr.cells, slice, func(c cell, slice int64) int {
		return int(c.slice - slice)
	})
	if !found {
		sr.cells = slices.Insert(sr.cells, i, cell{slice: slice})
	}
	sr.cells[i].acc.Merge(a)
}

// sweep forgets series and groups that had no event for the whole retention,
// once every 64 slices.
func (s *Store) sweep() {
	if s.newest < s.swept+64 {
		return
	}
	s.swept = s.newest
	oldest := s.newest - s.retain
	for name, m := range s.metrics {
		for tags, sr := range m.series {
			if n := len(sr.cells); n > 0 && sr.cells[n-1].slice <= oldest {
				delete(m.series, tags)
			}
		}
		for _, sel := range m.selectors {
			sel.forget(oldest)
		}
		if len(m.series) == 0 && len(m.selectors) == 0 {
			delete(s.metrics, name)
		}
	}
}

// Series returns how many series the store holds.
func (s *Store) Series() int {
	n := 0
	for _, m := range s.metrics {
		n += len(m.series)
	}
	return n
}

// Oldest returns the oldest slice of a metric that the store holds.
func (s *Store) Oldest(metric string) (slice int64, ok bool) {
	m := s.metrics[metric]
	if m == nil {
		return 0, false
	}
	for _, sr := range m.series {
		if c := sr.cells[0].slice; !ok || c < slice {
			slice, ok = c, true
		}
	}
	return slice, ok
}

// Match decides which series of a metric belong to a selector: it maps the tags
// of a series to the group that it is merged into.
type Match func(tags string) (group string, ok bool)

// Selector returns the selector with this id of a metric, whose windows may
// begin up to span slices before the newest slice. It is made of the slices in
// the store when it is new or was shorter.
func (s *Store) Selector(metric, id string, span int64, match Match) *Selector {
	m := s.metric(metric)
	sel := m.selectors[id]
	if sel != nil && span <= sel.span {
		return sel
	}
	if sel != nil {
		s.detach(m, sel)
	}
	sel = &Selector{match: match, span: span, byKey: make(map[string]*group)}
	m.selectors[id] = sel
	for _, sr := range m.series {
		sel.take(sr)
	}
	for _, sr := range m.series {
		for _, f := range sr.feeds {
			if f.selector == sel {
				f.group.load(sr.cells)
			}
		}
	}
	for _, g := range sel.groups {
		g.tree.build()
	}
	return sel
}

// Drop removes a selector that no query uses any more.
func (s *Store) Drop(metric, id string) {
	m := s.metrics[metric]
	if m == nil || m.selectors[id] == nil {
		return
	}
	s.detach(m, m.selectors[id])
	delete(m.selectors, id)
}

func (s *Store) detach(m *metricSeries, sel *Selector) {
	for _, sr := range m.series {
		sr.feeds = slices.DeleteFunc(sr.feeds, func(f feed) bool { return f.selector == sel })
	}
}

// Selector is the set of series of a metric that a filter lets through, merged
// by group: one segment tree a group, shared by all windows and aggregations.
type Selector struct {
	match   Match
	span    int64
	matched int
	byKey   map[string]*group
	groups  []*group // Rising by key.
}

type group struct {
	key    string
	tree   *Tree
	newest int64
}

func (sel *Selector) take(sr *series) {
	key, ok := sel.match(sr.tags)
	if !ok {
		return
	}
	sel.matched++
	g := sel.byKey[key]
	if g == nil {
		g = &group{key: key, tree: NewTree(sel.span)}
		sel.byKey[key] = g
		i, _ := slices.BinarySearchFunc(sel.groups, key, func(g *group, key string) int { return strings.Compare(g.key, key) })
		sel.groups = slices.Insert(sel.groups, i, g)
	}
	sr.feeds = append(sr.feeds, feed{sel, g})
}

func (sel *Selector) forget(oldest int64) {
	sel.groups = slices.DeleteFunc(sel.groups, func(g *group) bool {
		if g.newest > oldest {
			return false
		}
		delete(sel.byKey, g.key)
		return true
	})
}

func (g *group) add(slice int64, a *Acc) {
	g.newest = max(g.newest, slice)
	g.tree.Add(slice, a)
}

func (g *group) load(cells []cell) {
	if n := len(cells); n > 0 {
		g.newest = max(g.newest, cells[n-1].slice)
	}
	for i := range cells {
		g.tree.load(cells[i].slice, &cells[i].acc)
	}
}

// Matched returns how many series the selector has ever matched.
func (sel *Selector) Matched() int { return sel.matched }

// Len returns the number of groups.
func (sel *Selector) Len() int { return len(sel.groups) }

// Window merges the slices [from, to) of every group, in the order of the groups' keys.
func (sel *Selector) Window(from, to int64, yield func(group string, a Acc)) {
	for _, g := range sel.groups {
		yield(g.key, g.tree.Window(from, to))
	}
}

// Range is a window as a half-open range of slices.
type Range struct{ From, To int64 }

// History merges many windows of every group from the slices in the store,
// also those that began before the selector's span: yield gets one accumulator
// per window. One tree is used again for every group, so memory stays small.
func (s *Store) History(metric string, sel *Selector, windows []Range, yield func(group string, accs []Acc)) {
	m := s.metrics[metric]
	if m == nil || len(windows) == 0 {
		return
	}
	members := make(map[*group][]*series, len(sel.groups))
	for _, sr := range m.series {
		for _, f := range sr.feeds {
			if f.selector == sel {
				members[f.group] = append(members[f.group], sr)
			}
		}
	}
	tree := NewTree(s.retain + 8)
	for _, g := range sel.groups {
		tree.reset()
		for _, sr := range members[g] {
			for i := range sr.cells {
				tree.load(sr.cells[i].slice, &sr.cells[i].acc)
			}
		}
		tree.build()
		accs := make([]Acc, len(windows))
		for i, w := range windows {
			accs[i] = tree.Window(w.From, w.To)
		}
		yield(g.key, accs)
	}
}
