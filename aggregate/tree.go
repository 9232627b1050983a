package aggregate

import (
	"slices"
	"unsafe"
)

// Tree holds the newest slices of one resulting series and merges any range of
// them at a cost that grows with the logarithm of the range. Slices may be added
// to in any order.
//
// Slices lie in chunks of chunkSlices, each with those only that have events,
// in a ring; over the chunks stands a segment tree of their merges. A range is
// some slices at either end and the whole chunks between, in O(log) merges: the
// chunks keep an hour of a series that has an event now and then small.
//
// The ring is laid over the chunks by their index modulo their number, so a
// range that wraps around is the merge of two ranges. Merging is commutative,
// so their number need not be a power of two.
type Tree struct {
	chunks []chunk
	nodes  []Acc // nodes[n+i] is chunk i of n, nodes[i] the merge of nodes[2i] and nodes[2i+1].
	next   int64 // The chunk after the newest one held.
	begun  bool

	cells  int  // Capacity of all chunks together.
	needed bool // Some slice holds something by need.
	part   Acc  // Of a chunk, for Window.
}

// chunk is the slices with events of a chunk, rising.
type chunk []cell

// chunkSlices is how many slices a chunk covers: more make both ends of a range
// cost more, fewer make the segment tree bigger.
const chunkSlices = 32

// NewTree returns an empty tree that holds at least span slices.
func NewTree(span int64) *Tree {
	n := (max(span, 1)+chunkSlices-1)/chunkSlices + 1 // The newest one is never whole.
	return &Tree{chunks: make([]chunk, n), nodes: make([]Acc, 2*n)}
}

// Add merges a into a slice. A slice that is older than the tree holds is left out.
func (t *Tree) Add(slice int64, a *Acc) {
	if !t.load(slice, a) {
		return
	}
	// Merging upwards is right for an addition: no node ever has to forget.
	n := int64(len(t.chunks))
	for i := n + Mod(chunkOf(slice), n); i > 0; i /= 2 {
		t.nodes[i].Merge(a)
	}
}

// Replace puts a in the place of what a slice holds, but for the growth of counters, which stays.
func (t *Tree) Replace(slice int64, a *Acc) {
	at, n := chunkOf(slice), int64(len(t.chunks))
	if !t.begun || at >= t.next || at < t.next-n {
		return
	}
	c := t.chunk(at)
	i := c.after(slice)
	if i == len(c) || c[i].slice != slice {
		return
	}
	t.needed = t.needed || a.More != nil
	acc := &c[i].acc
	growth := acc.growth()
	acc.Reset()
	acc.Merge(a)
	if acc.More != nil || growth != (Growth{}) {
		acc.more().Growth = growth
	}
	node := n + Mod(at, n)
	t.sum(node, c)
	for node /= 2; node > 0; node /= 2 {
		t.join(node)
	}
}

// load merges a into its chunk only. build must be called after the last load
// and before anything else: many slices cost less so.
func (t *Tree) load(slice int64, a *Acc) bool {
	at := chunkOf(slice)
	n := int64(len(t.chunks))
	t.advance(at + 1)
	if at < t.next-n {
		return false
	}
	t.needed = t.needed || a.More != nil
	c := &t.chunks[Mod(at, n)]
	before := cap(*c)
	c.merge(slice, a)
	t.cells += cap(*c) - before
	return true
}

func (c *chunk) merge(slice int64, a *Acc) {
	cells := *c
	n := len(cells)
	switch {
	case n == chunkSlices: // All are there, so the place is known.
		cells[Mod(slice, chunkSlices)].acc.Merge(a)
		return
	case n == 0 || cells[n-1].slice < slice:
		cells = append(cells, cell{slice: slice})
		cells[n].acc.Merge(a)
	case cells[n-1].slice == slice:
		cells[n-1].acc.Merge(a)
	default:
		i, found := slices.BinarySearchFunc(cells, slice, func(c cell, slice int64) int { return int(c.slice - slice) })
		if !found {
			cells = slices.Insert(cells, i, cell{slice: slice})
		}
		cells[i].acc.Merge(a)
	}
	*c = cells
}

// Div is the quotient rounded down.
func Div(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Mod is the remainder of Div, which is never negative.
func Mod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}

func chunkOf(slice int64) int64 { return Div(slice, chunkSlices) }

// advance makes room for the chunks before next, forgetting those that the ring held in their place.
func (t *Tree) advance(next int64) {
	n := int64(len(t.chunks))
	switch {
	case !t.begun:
		t.begun, t.next = true, next
		return
	case next <= t.next:
		return
	case next-t.next >= n:
		t.empty()
		t.begun, t.next = true, next
		return
	}
	for at := t.next; at < next; at++ {
		i := Mod(at, n)
		if len(t.chunks[i]) == 0 {
			continue
		}
		t.cells -= cap(t.chunks[i])
		t.chunks[i] = nil
		i += n
		t.nodes[i].Reset()
		for i /= 2; i > 0; i /= 2 {
			t.join(i)
		}
	}
	t.next = next
}

// sum computes the node of a chunk anew.
func (t *Tree) sum(i int64, c chunk) {
	t.nodes[i].Reset()
	for j := range c {
		t.nodes[i].Merge(&c[j].acc)
	}
}

// join computes an inner node anew.
func (t *Tree) join(i int64) {
	t.nodes[i].Reset()
	t.nodes[i].Merge(&t.nodes[2*i])
	t.nodes[i].Merge(&t.nodes[2*i+1])
}

// build computes all nodes.
func (t *Tree) build() {
	n := int64(len(t.chunks))
	for i, c := range t.chunks {
		t.sum(n+int64(i), c)
	}
	for i := n - 1; i > 0; i-- {
		t.join(i)
	}
}

// Window adds the slices [from, to) to a: the whole chunks, then the slices at either end, of which those that lie in the
// middle of the window come first. So ends that neighbouring windows share need not be merged again (see slider).
// Slices that the tree does not hold are empty.
func (t *Tree) Window(a *Acc, from, to int64) {
	r, ok := t.reach(from, to)
	if !ok {
		return
	}
	if r.from == r.to {
		t.chunk(r.from).window(a, from, to)
		return
	}
	t.mergeChunks(a, r.first, r.last)
	if r.first > r.from {
		t.part.Reset()
		c := t.chunk(r.from)
		for i, least := len(c)-1, c.after(from); i >= least; i-- {
			t.part.Merge(&c[i].acc)
		}
		a.Merge(&t.part)
	}
	if r.last < r.to {
		t.part.Reset()
		c := t.chunk(r.last)
		for i := range c[:c.after(to)] {
			t.part.Merge(&c[i].acc)
		}
		a.Merge(&t.part)
	}
}

// reach is which chunks a window touches, [from, to), and which of them are whole, [first, last): at most the first one
// and the last one are not. Where all of it is a part of one chunk from is to.
type reach struct{ from, first, last, to int64 }

// reach returns false where the tree holds nothing of a window.
func (t *Tree) reach(from, to int64) (r reach, ok bool) {
	n := int64(len(t.chunks))
	from, to = max(from, (t.next-n)*chunkSlices), min(to, t.next*chunkSlices)
	if !t.begun || from >= to {
		return r, false
	}
	r = reach{from: chunkOf(from), last: chunkOf(to)}
	r.first, r.to = r.from, r.last
	if r.from == r.last {
		return r, true
	}
	if from > r.from*chunkSlices {
		r.first++
	}
	if to > r.last*chunkSlices {
		r.to++
	}
	return r, true
}

func (t *Tree) chunk(at int64) chunk { return t.chunks[Mod(at, int64(len(t.chunks)))] }

// window adds the slices of a chunk that lie in [from, to) to a.
func (c chunk) window(a *Acc, from, to int64) {
	for i := c.after(from); i < len(c) && c[i].slice < to; i++ {
		a.Merge(&c[i].acc)
	}
}

// after is the first place of a chunk at which the slice from, or a later one, lies.
func (c chunk) after(from int64) int {
	if len(c) == chunkSlices { // All are there.
		return int(min(max(from-c[0].slice, 0), chunkSlices))
	}
	lo, hi := 0, len(c)
	for lo < hi {
		if mid := (lo + hi) / 2; c[mid].slice < from {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// mergeChunks adds the chunks [first, last) to a.
func (t *Tree) mergeChunks(a *Acc, first, last int64) {
	if first >= last {
		return
	}
	n := int64(len(t.chunks))
	lo := Mod(first, n)
	if hi := lo + last - first; hi <= n {
		t.merge(a, lo, hi)
	} else {
		t.merge(a, lo, n)
		t.merge(a, 0, hi-n)
	}
}

// merge adds the chunks at [lo, hi) in the ring to a, bottom up.
func (t *Tree) merge(a *Acc, lo, hi int64) {
	n := int64(len(t.chunks))
	for lo, hi = lo+n, hi+n; lo < hi; lo, hi = lo/2, hi/2 {
		if lo&1 == 1 {
			a.Merge(&t.nodes[lo])
			lo++
		}
		if hi&1 == 1 {
			hi--
			a.Merge(&t.nodes[hi])
		}
	}
}

// empty forgets everything, but keeps the memory.
func (t *Tree) empty() {
	for i := range t.chunks {
		// Sketches are not kept: a slice of another time would need another size.
		clear(t.chunks[i])
		t.chunks[i] = t.chunks[i][:0]
	}
	for i := range t.nodes {
		t.nodes[i].Reset()
	}
	t.begun = false
}

// copyFrom loads what another tree holds of the newest slices.
func (t *Tree) copyFrom(o *Tree) {
	n := int64(len(o.chunks))
	for at := o.next - min(n, int64(len(t.chunks))); o.begun && at < o.next; at++ {
		c := o.chunks[Mod(at, n)]
		if len(c) == 0 {
			continue
		}
		t.advance(at + 1)
		into := &t.chunks[Mod(at, int64(len(t.chunks)))]
		*into = make(chunk, len(c)) // Of that very size: most of them are never added to again.
		for i := range c {
			(*into)[i].slice = c[i].slice
			(*into)[i].acc.Merge(&c[i].acc)
		}
		t.cells += len(c)
	}
	t.needed = o.needed
	t.build()
}

// size is about how many bytes of memory t takes.
func (t *Tree) size() int64 {
	n := int64(unsafe.Sizeof(*t)) + int64(len(t.nodes))*accSize + int64(len(t.chunks))*int64(unsafe.Sizeof(chunk{})) + int64(t.cells)*cellSize
	if !t.needed {
		return n
	}
	for i := range t.nodes {
		n += t.nodes[i].needed()
	}
	for _, c := range t.chunks {
		for i := range c {
			n += c[i].acc.needed()
		}
	}
	return n
}
