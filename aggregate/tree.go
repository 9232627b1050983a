package aggregate

// Tree is a segment tree over a ring of slices: it holds the newest Span
// slices of one series and merges any range of them in O(log Span). Slices may
// be added to in any order; an addition costs O(log Span) too.
//
// The ring is laid over the leaves by slice index modulo their number, so a
// range that wraps around is the merge of two ranges. Merging is commutative,
// so the number of leaves need not be a power of two.
type Tree struct {
	nodes []Acc // nodes[Span+i] is leaf i, nodes[i] the merge of nodes[2i] and nodes[2i+1].
	next  int64 // The slice after the newest one held.
	begun bool

	sketched bool // Some node has a sketch.
}

// NewTree returns an empty tree that holds span slices, or a few more.
func NewTree(span int64) *Tree { return &Tree{nodes: make([]Acc, 2*max(span, 8))} }

// Span returns how many slices the tree holds.
func (t *Tree) Span() int64 { return int64(len(t.nodes) / 2) }

// Add merges a into a slice. A slice that is older than the tree holds is left out.
func (t *Tree) Add(slice int64, a *Acc) {
	t.sketched = t.sketched || a.Sketch != nil
	t.advance(slice + 1)
	if slice < t.next-t.Span() {
		return
	}
	// Merging upwards is right for an addition: no node ever has to forget.
	for i := t.leaf(slice); i > 0; i /= 2 {
		t.nodes[i].Merge(a)
	}
}

func (t *Tree) leaf(slice int64) int64 {
	n := t.Span()
	return n + mod(slice, n)
}

// mod is the remainder that is never negative.
func mod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}

// advance makes room for the slices before next, forgetting those that the ring held in their place.
func (t *Tree) advance(next int64) {
	switch {
	case !t.begun:
		t.begun, t.next = true, next
		return
	case next <= t.next:
		return
	case next-t.next >= t.Span():
		t.empty()
		t.begun, t.next = true, next
		return
	}
	for s := t.next; s < next; s++ {
		i := t.leaf(s)
		if t.nodes[i].Count == 0 {
			continue
		}
		t.nodes[i].Reset()
		for i /= 2; i > 0; i /= 2 {
			t.join(i)
		}
	}
	t.next = next
}

// join computes an inner node anew.
func (t *Tree) join(i int64) {
	t.nodes[i].Reset()
	t.nodes[i].Merge(&t.nodes[2*i])
	t.nodes[i].Merge(&t.nodes[2*i+1])
}

// Window adds the slices [from, to) to a. Slices that the tree does not hold are empty.
func (t *Tree) Window(a *Acc, from, to int64) {
	n := t.Span()
	from, to = max(from, t.next-n), min(to, t.next)
	if !t.begun || from >= to {
		return
	}
	lo := mod(from, n)
	if hi := lo + to - from; hi <= n {
		t.merge(a, lo, hi)
	} else {
		t.merge(a, lo, n)
		t.merge(a, 0, hi-n)
	}
}

// merge adds the leaves [lo, hi) to a, bottom up.
func (t *Tree) merge(a *Acc, lo, hi int64) {
	n := t.Span()
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
	t.sketched = t.sketched || a.Sketch != nil
	// Nothing above the leaves is there yet, so forgetting is for the leaves only.
	if !t.begun || slice >= t.next {
		if n := t.Span(); t.begun && slice-t.next < n {
			for s := t.next; s <= slice; s++ {
				t.nodes[t.leaf(s)].Reset()
			}
		} else if t.begun {
			t.empty()
		}
		t.begun, t.next = true, slice+1
	}
	if slice >= t.next-t.Span() {
		t.nodes[t.leaf(slice)].Merge(a)
	}
}

func (t *Tree) build() {
	for i := t.Span() - 1; i > 0; i-- {
		t.join(i)
	}
}

// empty forgets everything, but keeps the memory of the sketches.
func (t *Tree) empty() {
	for i := range t.nodes {
		if t.nodes[i].Count > 0 {
			t.nodes[i].Reset()
		}
	}
	t.begun = false
}

// copyFrom loads what another tree of the same slices holds.
func (t *Tree) copyFrom(o *Tree) {
	if !o.begun {
		return
	}
	for s := o.next - min(t.Span(), o.Span()); s < o.next; s++ {
		if a := &o.nodes[o.leaf(s)]; a.Count > 0 {
			t.load(s, a)
		}
	}
	t.build()
}

// size is about how many bytes of memory t takes.
func (t *Tree) size() int64 {
	n := int64(len(t.nodes)) * accSize
	if !t.sketched {
		return n
	}
	for i := range t.nodes {
		if s := t.nodes[i].Sketch; s != nil {
			n += int64(s.Size())
		}
	}
	return n
}
