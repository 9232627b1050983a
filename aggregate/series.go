package aggregate

import (
	"slices"
	"unsafe"
)

// series holds the slices of one series: the newest as they are, older ones
// packed. Late events find their slice in either.
type series struct {
	tags   string
	metric *metricSeries
	rank   int     // Among the series of the metric, see metricSeries.ranked.
	gone   bool    // The store does not hold it any more.
	sealed []block // Rising.
	packed int64   // Bytes in them.
	last   int64   // The newest slice in them, if there are any.
	joined int     // So many of them have been joined.
	open   []cell  // Rising by slice, none twice, all above the sealed ones.
	needed int64   // Bytes that these hold by need.
	tip    *tip    // Of a counter; nil = not known.
	feeds  []feed

	histograms bool // It has, or had, samples of cumulative ones.
}

type cell struct {
	slice int64
	acc   Acc
}

const (
	accSize  = int64(unsafe.Sizeof(Acc{}))
	cellSize = int64(unsafe.Sizeof(cell{}))

	openCells  = 32 // At most so many are open,
	blockCells = 24 // and so many of them are packed when there are more.

	// When so many blocks have not been joined, all but the newest, which late events come to, become one: a block has some
	// bytes of its own, and a longer one is packed better.
	youngBlocks = 10
	keptYoung   = 2
)

// add merges a into a slice.
func (sr *series) add(slice int64, a *Acc, c *codec) {
	if len(sr.sealed) > 0 && slice <= sr.last {
		sr.addSealed(slice, a, c)
		return
	}
	i, found := len(sr.open), false
	if i > 0 && sr.open[i-1].slice >= slice {
		i, found = slices.BinarySearchFunc(sr.open, slice, func(c cell, slice int64) int { return int(c.slice - slice) })
	}
	if !found {
		if len(sr.open) >= openCells {
			sr.seal(c)
			sr.add(slice, a, c)
			return
		}
		sr.open = slices.Insert(sr.open, i, cell{slice: slice})
	}
	acc := &sr.open[i].acc
	if a.More == nil {
		acc.Merge(a)
		return
	}
	before := acc.needed()
	acc.Merge(a)
	sr.needed += acc.needed() - before
}

// seal packs the older ones of the open slices.
func (sr *series) seal(c *codec) {
	for i := range sr.open[:blockCells] {
		acc := &sr.open[i].acc
		c.add(sr.open[i].slice, acc, mostCells)
		sr.needed -= acc.needed()
	}
	sr.open = slices.Delete(sr.open, 0, blockCells)
	sr.append(c, c.blocks()...)
}

// append takes blocks that are newer than all others.
func (sr *series) append(c *codec, blocks ...block) {
	n := len(sr.sealed)
	sr.replace(n, n, blocks)
	sr.last = blocks[len(blocks)-1].last()
	if to := len(sr.sealed) - keptYoung; to >= sr.joined+youngBlocks-keptYoung {
		for _, b := range sr.sealed[sr.joined:to] {
			for c.unpack.open(b); c.unpack.next(); {
				c.add(c.unpack.cell.slice, &c.unpack.cell.acc, mostCells)
			}
		}
		sr.replace(sr.joined, to, c.blocks())
		sr.joined = len(sr.sealed) - keptYoung
	}
}

// replace puts blocks in the place of others.
func (sr *series) replace(from, to int, blocks []block) {
	for _, b := range sr.sealed[from:to] {
		sr.packed -= blockBytes(b)
	}
	for _, b := range blocks {
		sr.packed += blockBytes(b)
	}
	sr.sealed = slices.Replace(sr.sealed, from, to, blocks...)
}

// addSealed unpacks the block that a slice belongs to, and packs it again, as two where it would be too long.
func (sr *series) addSealed(slice int64, a *Acc, c *codec) {
	i, _ := slices.BinarySearchFunc(sr.sealed, slice, func(b block, slice int64) int { return int(b.last() - slice) })
	most := mostCells
	if n := sr.sealed[i].cells(); n == most {
		most = n/2 + 1
	}
	u, done := &c.unpack, false
	for u.open(sr.sealed[i]); u.next(); {
		if !done && slice < u.cell.slice {
			c.add(slice, a, most)
			done = true
		}
		if slice == u.cell.slice {
			u.cell.acc.Merge(a)
			done = true
		}
		c.add(u.cell.slice, &u.cell.acc, most)
	}
	before := len(sr.sealed)
	sr.replace(i, i+1, c.blocks())
	if i < sr.joined {
		sr.joined += len(sr.sealed) - before
	}
}

// forget drops what is older than oldest, block by block.
func (sr *series) forget(oldest int64) {
	for len(sr.sealed) > 0 && sr.sealed[0].last() < oldest {
		sr.packed -= blockBytes(sr.sealed[0])
		sr.sealed[0] = nil // Else its bytes would stay in memory as long as the list does.
		sr.sealed = sr.sealed[1:]
		sr.joined = max(0, sr.joined-1)
	}
}

func (sr *series) newest() int64 {
	if n := len(sr.open); n > 0 {
		return sr.open[n-1].slice
	}
	return sr.last
}

func (sr *series) oldest() int64 {
	if len(sr.sealed) > 0 {
		return sr.sealed[0].first()
	}
	return sr.open[0].slice
}

// size is how many bytes of memory a series takes. It costs next to nothing: it is
// asked for before and after each change.
func (sr *series) size() int64 {
	return seriesSize + allocated(len(sr.metric.name)+len(sr.tags)) + int64(cap(sr.open))*cellSize +
		int64(cap(sr.sealed))*blockSize + int64(cap(sr.feeds))*feedSize + sr.packed + sr.needed + sr.tip.size()
}

const (
	// mapSlot is what an entry of a map takes that has a string for its key and a pointer for its value.
	mapSlot    = 40
	seriesSize = int64(unsafe.Sizeof(series{})) + mapSlot + 3*8 // Its places in the lists of its metric.
	blockSize  = int64(unsafe.Sizeof(block{}))
	feedSize   = int64(unsafe.Sizeof(feed{}))
)

func blockBytes(b block) int64 { return allocated(len(b)) }

// allocated is about what the allocator takes for so many bytes: it has sizes
// that are an eighth apart.
func allocated(n int) int64 {
	if n <= 128 {
		return int64(n+15) &^ 15
	}
	return int64(n) + int64(n)/16
}

// view is the slices of a series at one moment, which another goroutine may read without
// a lock: blocks are never changed, and the list of them is a copy.
func (sr *series) view(c *codec) []block {
	v := slices.Clone(sr.sealed)
	for i := range sr.open {
		c.add(sr.open[i].slice, &sr.open[i].acc, mostCells)
	}
	return append(v, c.blocks()...)
}
