package aggregate

import (
	"cmp"
	"encoding/binary"
	"strings"
	"unsafe"
)

// Name is a series as it travels within a process: one for each series of a Names, so that accumulators are found by
// an index, and a store finds the series without a look at its text.
type Name struct {
	Metric string
	Tags   string // In the form that keeps different tags apart.

	id   uint32
	at   uint32 // Where it was in the row in which it was looked for last.
	seen int64  // When it was asked for last, see Names.Forget.

	// The series of a store, where it has found it. Both belong to who uses the store.
	store *Store
	held  *series
}

// NewName returns the name of a series that is of no Names.
func NewName(metric, tags string) *Name { return &Name{Metric: metric, Tags: tags} }

// compare orders names by their metrics, then by their tags.
func (n *Name) compare(o *Name) int {
	return cmp.Or(strings.Compare(n.Metric, o.Metric), strings.Compare(n.Tags, o.Tags))
}

// Names are the names of series that one reader has met. They are not safe for concurrent use.
type Names struct {
	byKey map[string]*Name
	key   []byte
	ids   uint32   // So many were given,
	free  []uint32 // of which these are not in use.
	kept  int      // After Forget.
	bytes int64
}

// NewNames returns an empty set.
func NewNames() *Names { return &Names{byKey: make(map[string]*Name)} }

// Of returns the name of a series, the same one until it is forgotten. now is any count that rises.
func (n *Names) Of(metric string, tags []byte, now int64) *Name {
	n.key = binary.AppendUvarint(n.key[:0], uint64(len(metric)))
	n.key = append(append(n.key, metric...), tags...)
	name := n.byKey[string(n.key)]
	if name == nil {
		key := string(n.key)
		name = &Name{Metric: metric, Tags: key[len(key)-len(tags):], id: n.id()}
		n.byKey[key] = name
		n.bytes += nameSize + int64(len(key))
	}
	name.seen = now
	return name
}

func (n *Names) id() uint32 {
	if last := len(n.free) - 1; last >= 0 {
		id := n.free[last]
		n.free = n.free[:last]
		return id
	}
	n.ids++
	return n.ids - 1
}

// See notes that a name is in use.
func (n *Name) See(now int64) { n.seen = now }

// Crowded reports whether there are so many more than Forget left that it is worth a call.
func (n *Names) Crowded() bool { return len(n.byKey) > 2*n.kept+1024 }

// Forget forgets the names that were not seen since then. A row may still hold one whose id is given
// to another: it compares names, not ids.
func (n *Names) Forget(since int64) {
	for key, name := range n.byKey {
		if name.seen < since {
			delete(n.byKey, key)
			n.free = append(n.free, name.id)
			n.bytes -= nameSize + int64(len(key))
		}
	}
	n.kept = len(n.byKey)
}

// Len is how many there are.
func (n *Names) Len() int { return len(n.byKey) }

// Bytes is about how much memory they take.
func (n *Names) Bytes() int64 { return n.bytes }

// nameSize is what a name takes besides its text.
const nameSize = int64(unsafe.Sizeof(Name{})) + mapSlot
