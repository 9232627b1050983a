package aggregate

// slider computes windows of a tree that is not added to meanwhile, one after the other. Windows of a history overlap:
// what one shares with the one before is not merged again, so one that lies a slice later costs some merges in all. Each
// value is that of Tree.Window to the last bit.
type slider struct {
	tree        *Tree
	inner       Acc   // The whole chunks
	first, last int64 // from first until last.
	begin, end  sums
}

// sums are those of more and more slices of one chunk.
type sums struct {
	at   int64 // The chunk.
	n    int   // How many slices are in the longest sum.
	sums [chunkSlices]Acc
}

// none is no chunk.
const none = -1 << 63

// reset begins with another tree, or with what is in it by now.
func (s *slider) reset(t *Tree) {
	s.tree, s.first, s.last = t, none, none
	s.begin.at, s.end.at = none, none
}

// window adds the slices [from, to) to a. Where something is held by need it costs what it costs in a tree.
func (s *slider) window(a *Acc, from, to int64) {
	t := s.tree
	r, ok := t.reach(from, to)
	if !ok || r.from == r.to || t.needed {
		t.Window(a, from, to)
		return
	}
	if s.first != r.first || s.last != r.last {
		s.first, s.last, s.inner = r.first, r.last, Acc{}
		t.mergeChunks(&s.inner, r.first, r.last)
	}
	a.Merge(&s.inner)
	if r.first > r.from {
		c := t.chunk(r.from)
		s.begin.add(a, c, r.from, len(c)-c.after(from), true)
	}
	if r.last < r.to {
		c := t.chunk(r.last)
		s.end.add(a, c, r.last, c.after(to), false)
	}
}

// add adds the first n slices of a chunk to a, or the last ones, the last one first.
func (s *sums) add(a *Acc, c chunk, at int64, n int, backward bool) {
	if s.at != at {
		s.at, s.n = at, 0
	}
	for ; s.n < n; s.n++ {
		i := s.n
		if backward {
			i = len(c) - 1 - i
		}
		s.sums[s.n] = Acc{}
		if s.n > 0 {
			s.sums[s.n] = s.sums[s.n-1]
		}
		s.sums[s.n].Merge(&c[i].acc)
	}
	if n > 0 {
		a.Merge(&s.sums[n-1])
	}
}
