package aggregate

import (
	"slices"
	"unsafe"
)

// series holds the slices of one series: the newest as they are, older ones
// packed. Late events find their slice in either.
type series struct {
	tags   string
	sealed []block // Rising.
	packed int64   // Bytes in them.
	open   []cell  // Rising by slice, none twice, all above the sealed ones.
	needed int64   // Bytes that these hold by need.
	feeds  []feed
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
)

// sealedTo is the newest slice that is packed; ok is false when none is.
func (sr *series) sealedTo() (slice int64, ok bool) {
	if len(sr.sealed) == 0 {
		return 0, false
	}
	return sr.sealed[len(sr.sealed)-1].last, true
}

// add merges a into a slice. scratch is for packing.
func (sr *series) add(slice int64, a *Acc, scratch *[]byte) {
	if to, ok := sr.sealedTo(); ok && slice <= to {
		sr.addSealed(slice, a, scratch)
		return
	}
	i, found := len(sr.open), false
	if i > 0 && sr.open[i-1].slice >= slice {
		i, found = slices.BinarySearchFunc(sr.open, slice, func(c cell, slice int64) int { return int(c.slice - slice) })
	}
	if !found {
		if len(sr.open) >= openCells {
			sr.seal(scratch)
			sr.add(slice, a, scratch)
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
func (sr *series) seal(scratch *[]byte) {
	var b block
	b, *scratch = pack(*scratch, sr.open[:blockCells])
	sr.sealed = append(sr.sealed, b)
	sr.packed += blockBytes(b)
	for i := range sr.open[:blockCells] {
		sr.needed -= sr.open[i].acc.needed()
	}
	sr.open = slices.Delete(sr.open, 0, blockCells)
}

// addSealed unpacks the block that a slice belongs to, and packs it again.
func (sr *series) addSealed(slice int64, a *Acc, scratch *[]byte) {
	i, _ := slices.BinarySearchFunc(sr.sealed, slice, func(b block, slice int64) int { return int(b.last - slice) })
	var u unpack
	u.open(sr.sealed[i])
	cells := make([]cell, 0, sr.sealed[i].cells+1)
	done := false
	put := func(slice int64, a *Acc) {
		cells = append(cells, cell{slice: slice})
		cells[len(cells)-1].acc.Merge(a)
	}
	for u.next() {
		if !done && slice < u.cell.slice {
			put(slice, a)
			done = true
		}
		put(u.cell.slice, &u.cell.acc)
		if slice == u.cell.slice {
			cells[len(cells)-1].acc.Merge(a)
			done = true
		}
	}
	sr.packed -= blockBytes(sr.sealed[i])
	sr.sealed[i], *scratch = pack(*scratch, cells)
	sr.packed += blockBytes(sr.sealed[i])
}

// forget drops what is older than oldest, block by block.
func (sr *series) forget(oldest int64) {
	for len(sr.sealed) > 0 && sr.sealed[0].last < oldest {
		sr.packed -= blockBytes(sr.sealed[0])
		sr.sealed[0] = block{} // Else its bytes would stay in memory as long as the list does.
		sr.sealed = sr.sealed[1:]
	}
}

func (sr *series) newest() int64 {
	if n := len(sr.open); n > 0 {
		return sr.open[n-1].slice
	}
	to, _ := sr.sealedTo()
	return to
}

func (sr *series) oldest() int64 {
	if len(sr.sealed) > 0 {
		return sr.sealed[0].first
	}
	return sr.open[0].slice
}

// size is how many bytes of memory a series takes. It costs next to nothing: it is
// asked for before and after each change.
func (sr *series) size() int64 {
	return seriesSize + allocated(len(sr.tags)) + int64(cap(sr.open))*cellSize +
		int64(cap(sr.sealed))*blockSize + int64(cap(sr.feeds))*feedSize + sr.packed + sr.needed
}

const (
	// mapSlot is what an entry of a map takes that has a string for its key and a pointer for its value.
	mapSlot    = 40
	seriesSize = int64(unsafe.Sizeof(series{})) + mapSlot
	blockSize  = int64(unsafe.Sizeof(block{}))
	feedSize   = int64(unsafe.Sizeof(feed{}))
)

func blockBytes(b block) int64 { return allocated(len(b.packed)) }

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
func (sr *series) view(scratch *[]byte) []block {
	v := slices.Clone(sr.sealed)
	if len(sr.open) > 0 {
		var b block
		b, *scratch = pack(*scratch, sr.open)
		v = append(v, b)
	}
	return v
}
