package aggregate

import "slices"

// columns are some accumulators, column by column: the one packed form of accumulators, in blocks, in histories and in
// tables. Nothing is lost.
//
// A byte of flags; counts; newest event times; sums; minima and maxima, where they are not those of one event; the masks of
// what is held by need; and of each accumulator what its mask says. What follows from the value of one event is left out.
type columns struct {
	counts, newest, masks []int64
	sums                  []float64
	mins, maxs            []float64 // Of those that extremes says only.
	flags                 byte
	more                  []byte // What accumulators hold by need, packed one after the other.

	packing
	one  More // For comparing.
	held Acc  // What shown gives.

	at, extreme int // Where next is.
	after       packedAfter
}

const (
	allExtremes = 1 // Of all accumulators, also of those of one event.
	hasMore     = 2

	// followsValue in a mask: what was collected is what adding the one value gives.
	followsValue = 1 << partBits
)

func (c *columns) reset() {
	c.counts, c.newest, c.masks = c.counts[:0], c.newest[:0], c.masks[:0]
	c.sums, c.mins, c.maxs = c.sums[:0], c.mins[:0], c.maxs[:0]
	c.flags, c.more, c.after = 0, c.more[:0], packedAfter{}
}

// add appends an accumulator, of which nothing is kept.
func (c *columns) add(a *Acc) {
	a = c.shown(a)
	c.counts = append(c.counts, a.Count)
	c.newest = append(c.newest, a.Newest)
	c.sums = append(c.sums, a.Sum)
	c.mins = append(c.mins, a.Min)
	c.maxs = append(c.maxs, a.Max)
	if a.Count <= 1 && (floatsAway(a.Min, a.Sum) != 0 || floatsAway(a.Max, a.Sum) != 0) {
		c.flags |= allExtremes
	}
	mask := int64(0)
	if holds := a.More.holds(); holds != 0 {
		c.flags |= hasMore
		mask = int64(holds)
		if c.follows(holds&collected, a) {
			mask |= followsValue
			holds &^= collected
		}
		c.more = appendMore(c.more, holds, a, &c.after)
	}
	c.masks = append(c.masks, mask)
}

// shown is an accumulator as it is packed: where it only holds samples, the first of them stands where others have their event.
func (c *columns) shown(a *Acc) *Acc {
	if a.Count > 0 || a.More == nil || len(a.More.Marked.Samples) == 0 {
		return a
	}
	s := &a.More.Marked.Samples[0]
	c.held = Acc{Sum: s.Value, Min: s.Value, Max: s.Value, Newest: s.Time, More: a.More}
	return &c.held
}

// follows reports whether what an accumulator holds by need is what adding its value gives.
func (c *columns) follows(holds Needs, a *Acc) bool {
	if a.Count != 1 || holds == 0 {
		return false
	}
	c.one.reset()
	c.one.add(holds, a.Sum, a.Newest)
	return c.one.equal(a.More)
}

// append appends the packed form. The columns cannot be added to afterwards.
func (c *columns) append(dst []byte) []byte {
	dst = c.appendInts(append(dst, c.flags), c.counts)
	dst = c.appendInts(dst, c.newest)
	dst = c.appendFloats(dst, c.sums)
	if c.flags&allExtremes == 0 {
		n := 0
		for i, count := range c.counts {
			if count > 1 {
				c.mins[n], c.maxs[n] = c.mins[i], c.maxs[i]
				n++
			}
		}
		c.mins, c.maxs = c.mins[:n], c.maxs[:n]
	}
	dst = c.appendFloats(dst, c.mins)
	dst = c.appendFloats(dst, c.maxs)
	if c.flags&hasMore != 0 {
		dst = c.appendInts(dst, c.masks)
	}
	return append(dst, c.more...)
}

// read begins to read the packed form of n accumulators. Their columns are read at once, what they hold by need by next.
func (c *columns) read(r *Reader, n int) {
	c.at, c.extreme, c.after = 0, 0, packedAfter{}
	c.counts, c.newest, c.sums = resized(c.counts, n), resized(c.newest, n), resized(c.sums, n)
	c.whole, c.away = resized(c.whole, n), resized(c.away, n)
	c.flags = r.byte()
	r.ints(c.counts)
	r.ints(c.newest)
	r.floats(c.sums, c.whole, c.away)
	extremes := 0
	for _, count := range c.counts {
		if count > 1 || c.flags&allExtremes != 0 {
			extremes++
		}
		r.Bad = r.Bad || count < 0
	}
	c.mins, c.maxs = resized(c.mins, extremes), resized(c.maxs, extremes)
	r.floats(c.mins, c.whole[:extremes], c.away[:extremes])
	r.floats(c.maxs, c.whole[:extremes], c.away[:extremes])
	if c.flags&hasMore != 0 {
		c.masks = resized(c.masks, n)
		r.ints(c.masks)
	}
}

func resized[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// next reads the next accumulator into a; what it holds by need is in m, or new where that is nil.
func (c *columns) next(r *Reader, a *Acc, m *More) {
	i := c.at
	c.at++
	*a = Acc{Count: c.counts[i], Sum: c.sums[i], Min: c.sums[i], Max: c.sums[i], Newest: c.newest[i]}
	if a.Count > 1 || c.flags&allExtremes != 0 {
		a.Min, a.Max = c.mins[c.extreme], c.maxs[c.extreme]
		c.extreme++
	}
	if c.flags&hasMore == 0 || c.masks[i] == 0 {
		return
	}
	if m == nil {
		m = new(More)
	}
	m.reset()
	a.More = m
	mask := c.masks[i]
	if mask < 0 || mask >= 2*followsValue {
		r.Bad = true
		return
	}
	holds := Needs(mask &^ followsValue)
	follow := Needs(0)
	if mask&followsValue != 0 {
		follow = holds & collected
		m.add(follow, a.Sum, a.Newest)
	}
	r.more(holds&^follow, a, &c.after)
	r.Bad = r.Bad || m.holds() != holds
	if a.Count == 0 { // See shown.
		*a = Acc{More: m}
	}
}
