package aggregate

import "math/bits"

// Tree is a segment tree over a ring of slices: it holds the newest Span
// slices of one series and merges any range of them in O(log Span). Slices may
// be added to in any order; an addition costs O(log Span) too.
//
// The ring is laid over the leaves by slice index modulo their number, so a
// range that wraps around is the merge of two ranges; merging is commutative.
type Tree struct {
	nodes []Acc // nodes[1] is the root, nodes[leaves+i] a leaf.
	next  int64 // The slice after the newest one held.
	begun bool
}

// NewTree returns an empty tree that holds at least span slices.
func NewTree(span int64) *Tree {
	return &Tree{nodes: make([]Acc, 2*leavesFor(span))}
}

func leavesFor(span int64) int64 {
	return 1 << bits.Len64(uint64(max(span, 8)-1))
}

func (t *Tree) leaves() int64 { return int64(len(t.nodes) / 2) }

// Span returns how many slices the tree holds.
func (t *Tree) Span() int64 { return t.leaves() }

// Add merges a into a slice. A slice that is older than the tree holds is left out.
func (t *Tree) Add(slice int64, a *Acc) {
	t.advance(slice + 1)
	if slice < t.next-t.leaves() {
		return
	}
	i := t.leaf(slice)
	t.nodes[i].Merge(a)
	// Merging upwards is right for an addition: no node ever has to forget.
	for i /= 2; i > 0; i /= 2 {
		t.nodes[i].Merge(a)
	}
}

func (t *Tree) leaf(slice int64) int64 {
	n := t.leaves()
	return n + slice&(n-1) // n is a power of two, so this is the modulo also below zero.
}

// advance makes room for the slices before next, forgetting those that the ring held in their place.
func (t *Tree) advance(next int64) {
	switch {
	case !t.begun:
		t.begun, t.next = true, next
		return
	case next <= t.next:
		return
	case next-t.next >= t.leaves():
		clear(t.nodes)
		t.next = next
		return
	}
	for s := t.next; s < next; s++ {
		i := t.leaf(s)
		if t.nodes[i].Count == 0 {
			continue
		}
		t.nodes[i] = Acc{}
		for i /= 2; i > 0; i /= 2 {
			n := t.nodes[2*i]
			n.Merge(&t.nodes[2*i+1])
			t.nodes[i] = n
		}
	}
	t.next = next
}

// Window merges the slices [from, to). Slices that the tree does not hold are empty.
func (t *Tree) Window(from, to int64) Acc {
	var a Acc
	from, to = max(from, t.next-t.leaves()), min(to, t.next)
	if !t.begun || from >= to {
		return a
	}
	n := t.leaves()
	lo := from & (n - 1)
	if hi := lo + to - from; hi <= n {
		t.merge(&a, lo, hi)
	} else {
		t.merge(&a, lo, n)
		t.merge(&a, 0, hi-n)
	}
	return a
}

// merge adds the leaves [lo, hi) to a, bottom up.
func (t *Tree) merge(a *Acc, lo, hi int64) {
	n := t.leaves()
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

// load merges a into a leaf only. build must be called after the last load and
// before anything else: filling n leaves so costs O(n), not O(n log n).
func (t *Tree) load(slice int64, a *Acc) {
	t.advance(slice + 1)
	if slice >= t.next-t.leaves() {
		t.nodes[t.leaf(slice)].Merge(a)
	}
}

func (t *Tree) build() {
	for i := t.leaves() - 1; i > 0; i-- {
		n := t.nodes[2*i]
		n.Merge(&t.nodes[2*i+1])
		t.nodes[i] = n
	}
}

func (t *Tree) reset() {
	clear(t.nodes)
	t.begun = false
}
