package aggregate

import (
	"slices"
	"strings"
)

// Range is a window as a half-open range of slices.
type Range struct{ From, To int64 }

// Build makes the trees of a selector from the slices that a store holds, and
// computes windows of the past from them. It works on what the store held when
// it was made, without a lock: Run may be called in another goroutine while the
// store goes on. Store.Adopt then puts the selector to use.
type Build struct {
	metric, id string
	selector   *Selector
	fresh      bool // The selector is new: it gets trees.
	groups     []groupView
	trees      map[*group]*Tree // What Run makes; groups that appeared later have none.
	retain     int64
	needs      Needs
}

// groupView is the slices of the series of one group.
type groupView struct {
	group  *group
	series []seriesView
}

type seriesView struct {
	tags   string
	blocks []block
}

// Build begins to make the selector with this id of a metric: its windows may
// begin span slices before the newest slice, and a group stays listed for keep
// slices. needs are those of all aggregations of these windows. When a selector is there that reaches as far and holds
// what they need, the build is for past windows only.
func (s *Store) Build(metric, id string, span, keep int64, needs Needs, match Match) *Build {
	m := s.metric(metric)
	b := &Build{metric: metric, id: id, selector: m.selectors[id], retain: s.options.Retain, needs: needs}
	if old := b.selector; old == nil || !old.serves(span, needs) {
		if old != nil {
			span, needs = max(span, old.span), needs|old.needs
		}
		b.fresh = true
		b.selector = newSelector(match, span, keep, needs, &s.joiner)
		if m.builds == nil {
			m.builds = make(map[*Selector]bool)
		}
		m.builds[b.selector] = true
		for _, sr := range m.series {
			s.charge(b.selector.take(sr, false))
		}
	}
	b.selector.keep = max(b.selector.keep, keep)
	views := make(map[*group]int, len(b.selector.groups))
	for _, sr := range m.series {
		for _, f := range sr.feeds {
			if f.selector != b.selector {
				continue
			}
			i, ok := views[f.group]
			if !ok {
				i = len(b.groups)
				views[f.group] = i
				b.groups = append(b.groups, groupView{group: f.group})
			}
			b.groups[i].series = append(b.groups[i].series, seriesView{sr.tags, sr.view(&s.scratch)})
			f.group.newest = max(f.group.newest, sr.newest())
		}
	}
	return b
}

// Run computes. yield gets one accumulator per window, of each group, in no
// order; they are valid until it returns.
func (b *Build) Run(windows []Range, yield func(group string, accs []Acc)) {
	if !b.fresh && len(windows) == 0 {
		return
	}
	// One tree for everything that is held, used again for every group.
	all := NewTree(b.retain + 8)
	var slide slider
	accs := make([]Acc, len(windows))
	var stands []Standing
	if b.needs&(NeedLast|NeedGrowth) != 0 {
		stands = make([]Standing, len(windows))
	}
	loader := loader{into: all, selector: b.selector}
	b.trees = make(map[*group]*Tree, len(b.groups))
	for _, v := range b.groups {
		all.empty()
		// In the order in which a store adds them, so that sums are the same to the last bit.
		slices.SortFunc(v.series, func(a, b seriesView) int { return strings.Compare(a.tags, b.tags) })
		for _, sr := range v.series {
			loader.load(sr.blocks, windows, stands)
		}
		if b.fresh {
			tree := NewTree(b.selector.span)
			tree.copyFrom(all)
			b.trees[v.group] = tree // The group itself is being fed meanwhile.
		}
		if len(windows) == 0 {
			continue
		}
		all.build()
		slide.reset(all)
		for i, w := range windows {
			accs[i].Reset()
			slide.window(&accs[i], w.From, w.To)
			if stands != nil {
				accs[i].more().Stand = &stands[i]
			}
		}
		yield(v.group.key, accs)
		clear(stands)
	}
}

// loader loads the slices of series into a tree, one after the other.
type loader struct {
	into     *Tree
	selector *Selector
	unpack   unpack
	form     treeForm
	chain    chain
	cells    []standingCell
}

// load loads those of a series, and adds it to how the series stand at the end of each window; no stands = that is not needed.
func (l *loader) load(blocks []block, windows []Range, stands []Standing) {
	l.chain, l.cells = l.chain[:0], l.cells[:0]
	u := &l.unpack
	for _, b := range blocks {
		for u.open(b); u.next(); {
			a := &u.cell.acc
			whole := l.form.whole(a, l.selector.joiner.joins, &l.chain)
			l.into.load(u.cell.slice, l.form.of(whole, l.selector.needs))
			if stands != nil {
				l.cells = append(l.cells, a.standingCell(u.cell.slice))
			}
		}
	}
	for i := range stands {
		n, _ := slices.BinarySearchFunc(l.cells, windows[i].To, func(c standingCell, to int64) int { return int(c.slice - to) })
		if n > 0 {
			l.selector.joiner.stand(&stands[i], l.cells[n-1], windows[i])
		}
	}
}

// Adopt puts the selector of a build that has run to use, with all that came in since.
func (s *Store) Adopt(b *Build) *Selector {
	m := s.metric(b.metric)
	if !b.fresh {
		return b.selector
	}
	delete(m.builds, b.selector)
	if old := m.selectors[b.id]; old != nil {
		if old.serves(b.selector.span, b.selector.needs) { // Another build was as long, and faster.
			b.selector.gone = true
			m.detach()
			return old
		}
		old.gone = true
		m.detach()
	}
	if m.selectors == nil {
		m.selectors = make(map[string]*Selector)
	}
	m.selectors[b.id] = b.selector
	before := b.selector.size()
	for _, g := range b.selector.groups {
		if g.tree = b.trees[g]; g.tree == nil {
			g.tree = NewTree(b.selector.span)
		}
		for i := range g.waiting {
			g.tree.Add(g.waiting[i].slice, &g.waiting[i].acc)
		}
		g.waiting = nil
		if len(g.changed) > 0 {
			s.joiner.refresh(g, b.selector.needs)
		}
	}
	s.charge(b.selector.size() - before)
	return b.selector
}
