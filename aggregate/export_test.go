package aggregate

import "math"

// SeriesTags returns the tags of all series that the store holds, by metric.
func (s *Store) SeriesTags() map[string][]string {
	out := make(map[string][]string)
	for name, m := range s.metrics {
		for tags := range m.series {
			out[name] = append(out[name], tags)
		}
	}
	return out
}

// Table returns everything that the store holds.
func (s *Store) Table() Table {
	t := Table{}
	for name, m := range s.metrics {
		for tags, sr := range m.series {
			n := NewName(name, tags)
			sr.each(new(unpack), math.MinInt64/2, math.MaxInt64, func(slice int64, a *Acc) { t.Row(slice).Acc(n).Merge(a) })
		}
	}
	return t
}

// Held returns what t holds by slice, and by metric and tags.
func (t Table) Held() map[int64]map[[2]string]*Acc {
	held := make(map[int64]map[[2]string]*Acc)
	for slice, row := range t {
		held[slice] = make(map[[2]string]*Acc)
		for n, a := range row.All {
			k := [2]string{n.Metric, n.Tags}
			if held[slice][k] == nil {
				held[slice][k] = new(Acc)
			}
			held[slice][k].Merge(a)
		}
	}
	return held
}

// Len returns the number of groups.
func (sel *Selector) Len() int { return len(sel.groups) }

// Count returns the number of events in t.
func (t Table) Count() (n int64) {
	for _, row := range t {
		for _, a := range row.All {
			n += a.Count
		}
	}
	return n
}

// AllNeeds is the mask of everything that accumulators can hold by need.
const AllNeeds = Needs(1)<<needBits - 1

// Block is some slices of a series, packed.
type Block = block

// Codec packs and unpacks blocks.
type Codec struct{ c codec }

// Add adds a slice, above those before, to the blocks that Blocks returns.
func (c *Codec) Add(slice int64, a *Acc) { c.c.add(slice, a, mostCells) }

// Blocks returns the blocks of what was added.
func (c *Codec) Blocks() []Block { return c.c.blocks() }

// Each calls f with each slice of a block. It returns false when it is none.
func (c *Codec) Each(b Block, f func(slice int64, a *Acc)) bool {
	u := &c.c.unpack
	for u.open(b); u.next(); {
		f(u.cell.slice, &u.cell.acc)
	}
	return !u.Bad && len(u.Rest) == 0
}

// AppendInts and AppendFloats append columns, ReadInts and ReadFloats read them and return what is behind.
func AppendInts(dst []byte, v []int64) []byte     { return new(packing).appendInts(dst, v) }
func AppendFloats(dst []byte, v []float64) []byte { return new(packing).appendFloats(dst, v) }

func ReadInts(b []byte, n int) (v []int64, rest string, ok bool) {
	r := Reader{Rest: b}
	v = make([]int64, n)
	r.ints(v)
	return v, string(r.Rest), !r.Bad
}

func ReadFloats(b []byte, n int) (v []float64, rest string, ok bool) {
	r := Reader{Rest: b}
	v = make([]float64, n)
	r.floats(v, make([]int64, n), make([]int64, n))
	return v, string(r.Rest), !r.Bad
}

// Blocks returns how many blocks the store has, and how many slices the longest has.
func (s *Store) Blocks() (blocks, most int) {
	for _, m := range s.metrics {
		for _, sr := range m.series {
			blocks += len(sr.sealed)
			for _, b := range sr.sealed {
				most = max(most, b.cells())
			}
		}
	}
	return blocks, most
}

// Count counts what the metrics and series take that the store is charged for.
func (s *Store) Count() (n int64) {
	for _, m := range s.metrics {
		n += m.size()
		for _, sr := range m.series {
			packed, needed := int64(0), int64(0)
			for _, b := range sr.sealed {
				packed += blockBytes(b)
			}
			for i := range sr.open {
				needed += sr.open[i].acc.needed()
			}
			n += sr.size() - sr.packed - sr.needed + packed + needed
		}
	}
	return n
}

// Slider computes windows of a tree one after the other.
type Slider struct{ s slider }

// NewSlider returns the slider of a tree.
func NewSlider(t *Tree) *Slider {
	s := new(Slider)
	s.s.reset(t)
	return s
}

// Window adds slices to a.
func (s *Slider) Window(a *Acc, from, to int64) { s.s.window(a, from, to) }

// Oldest is the oldest slice that the tree has room for.
func (t *Tree) Oldest() int64 { return (t.next - int64(len(t.chunks))) * chunkSlices }
