package aggregate

import (
	"slices"
	"strings"
	"unsafe"
)

// Match decides which series of a metric belong to a selector: it maps the tags
// of a series to the group that it is merged into. The series of those that a
// limit turned away has the tags Other.
type Match func(tags string) (group string, ok bool)

// Selector is the set of series of a metric that a filter lets through, merged
// by group: one segment tree a group, shared by all windows and aggregations.
type Selector struct {
	match   Match
	span    int64 // Slices that the trees hold.
	keep    int64 // Slices for which a group without events stays listed.
	needs   Needs // NeedGrowth, if the trees hold the growth of counters.
	joiner  *joiner
	matched int
	gone    bool // It is not fed any more.
	byKey   map[string]*group
	groups  []*group // Rising by key.
}

// group is one resulting series. While its selector is being built the tree is
// missing, and what comes in waits.
type group struct {
	key     string
	tree    *Tree
	waiting []cell
	newest  int64
	series  []*series // That add to it.
	sorted  int       // So many of them are in the order of their tags.
	changed []int64   // Slices in which points have other values than those that were added, see joiner.refresh.

	sum    Acc // Of the row that is being added.
	summed bool
}

// feed is one selector that a series belongs to, and the group that it adds to.
type feed struct {
	selector *Selector
	group    *group
}

func newSelector(match Match, span, keep int64, needs Needs, j *joiner) *Selector {
	return &Selector{match: match, span: span, keep: keep, needs: needs & NeedGrowth, joiner: j, byKey: make(map[string]*group)}
}

// serves reports whether windows that begin span slices before the newest, and need that, can be had of it.
func (sel *Selector) serves(span int64, needs Needs) bool {
	return span <= sel.span && needs&NeedGrowth&^sel.needs == 0
}

// take makes a series one of the selector's if it matches. A tree is made for a
// new group only when the selector has its trees. It returns how many bytes that took.
func (sel *Selector) take(sr *series, built bool) (grown int64) {
	key, ok := sel.match(sr.tags)
	if !ok {
		return 0
	}
	before := int64(cap(sr.feeds)) * feedSize
	sel.matched++
	g := sel.byKey[key]
	if g == nil {
		g = &group{key: key}
		if built {
			g.tree = NewTree(sel.span)
		}
		sel.byKey[key] = g
		i, _ := slices.BinarySearchFunc(sel.groups, key, func(g *group, key string) int { return strings.Compare(g.key, key) })
		sel.groups = slices.Insert(sel.groups, i, g)
		grown = g.size()
	}
	sr.feeds = append(sr.feeds, feed{sel, g})
	before += int64(cap(g.series)) * 8
	g.series = append(g.series, sr)
	return grown + int64(cap(sr.feeds))*feedSize + int64(cap(g.series))*8 - before
}

// add adds what trees hold of an accumulator. It returns by how many bytes the group has grown, sketches of a tree aside: a
// sweep counts those.
func (g *group) add(slice int64, a *Acc) int64 {
	g.newest = max(g.newest, slice)
	if g.tree != nil {
		before := g.tree.cells
		g.tree.Add(slice, a)
		return int64(g.tree.cells-before) * cellSize
	}
	before := cap(g.waiting)
	g.waiting = append(g.waiting, cell{slice: slice})
	g.waiting[len(g.waiting)-1].acc.Merge(a)
	return int64(cap(g.waiting)-before) * cellSize
}

// inOrder is the series in an order that hangs on nothing else, so that sums are the same to the last bit.
func (g *group) inOrder() []*series {
	if g.sorted < len(g.series) {
		slices.SortFunc(g.series, func(a, b *series) int { return strings.Compare(a.tags, b.tags) })
		g.sorted = len(g.series)
	}
	return g.series
}

// forget drops the groups that had no event for so long that nothing shows them.
func (sel *Selector) forget(newest, retain int64) {
	for _, g := range sel.groups {
		g.series = slices.DeleteFunc(g.series, func(sr *series) bool { return sr.gone })
		g.sorted = min(g.sorted, len(g.series))
	}
	oldest := newest - max(sel.keep, retain)
	sel.groups = slices.DeleteFunc(sel.groups, func(g *group) bool {
		if g.newest > oldest {
			return false
		}
		delete(sel.byKey, g.key)
		return true
	})
}

// Matched returns how many series the selector has ever matched.
func (sel *Selector) Matched() int { return sel.matched }

// Window merges the slices [from, to) of every group, in the order of the groups' keys, and says how their series stand
// where that is needed. a is valid until yield returns.
func (sel *Selector) Window(w Range, needs Needs, yield func(group string, a *Acc)) {
	var a Acc
	for _, g := range sel.groups {
		a.Reset()
		g.tree.Window(&a, w.From, w.To)
		if a.needsStanding(needs) {
			a.more().Stand = sel.joiner.standing(g, w)
		}
		yield(g.key, &a)
	}
}

func (sel *Selector) size() int64 {
	var n int64
	for _, g := range sel.groups {
		n += g.size()
	}
	return n
}

func (g *group) size() int64 {
	n := groupSize + allocated(len(g.key)) + int64(cap(g.waiting))*cellSize + int64(cap(g.series))*8
	if g.tree != nil {
		n += g.tree.size()
	}
	return n
}

const groupSize = int64(unsafe.Sizeof(group{})) + 16 + mapSlot // The list has room for more.
