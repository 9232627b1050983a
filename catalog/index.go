package catalog

import (
	"slices"
	"strings"
)

// tagIndex holds the tags of the series of a metric. It is kept up when a series
// comes and when it is forgotten, so that it costs nothing per event, and what
// it lists costs no look at the series.
type tagIndex struct {
	limit int // Of keys, and of values of a key, that are shown.
	keys  map[string]*tagKey
	shown sample
	size  int64
	tags  []Tag // What list returned; nil = it has changed since.
}

type tagKey struct {
	// How many series have each value. A pointer, because assigning to an
	// element keeps the newer of two equal strings, and that is a part of the
	// tags of a whole series.
	values map[string]*int
	shown  sample
}

// About what an index, a key and a value take, besides their texts.
const (
	tagIndexSize = 352
	tagKeySize   = 352
	tagValueSize = 72
)

// textSize is about what the allocator takes for a text.
func textSize(s string) int64 { return int64(len(s)) + 8 }

func newTagIndex(limit int) *tagIndex {
	return &tagIndex{limit: limit, keys: make(map[string]*tagKey), size: tagIndexSize}
}

func (x *tagIndex) bytes() int64 {
	if x == nil {
		return 0
	}
	return x.size
}

func (x *tagIndex) add(key, value string) {
	k := x.keys[key]
	if k == nil {
		key = strings.Clone(key)
		k = &tagKey{values: make(map[string]*int)}
		x.keys[key] = k
		x.shown.add(key, x.limit)
		x.size += tagKeySize + textSize(key)
	}
	if n := k.values[value]; n != nil {
		*n++
		return
	}
	value, n := strings.Clone(value), 1
	k.values[value] = &n
	k.shown.add(value, x.limit)
	x.size += tagValueSize + textSize(value)
	x.tags = nil
}

func (x *tagIndex) remove(key, value string) {
	k := x.keys[key]
	if k == nil || k.values[value] == nil {
		return
	}
	n := k.values[value]
	if *n--; *n > 0 {
		return
	}
	delete(k.values, value)
	x.size -= tagValueSize + textSize(value)
	x.tags = nil
	k.shown.remove(value)
	if len(k.values) > 0 {
		return
	}
	delete(x.keys, key)
	x.size -= tagKeySize + textSize(key)
	x.shown.remove(key)
}

// sampleAgain shows others in the place of those that were removed.
func (x *tagIndex) sampleAgain() {
	sampleMembers(&x.shown, x.keys, x.limit)
	for _, k := range x.keys {
		sampleMembers(&k.shown, k.values, x.limit)
	}
}

// list returns the tags, rising by key, and how many keys are not among them.
// It is never changed, so that readers need no lock.
func (x *tagIndex) list() (tags []Tag, more int) {
	if x.tags == nil {
		x.tags = make([]Tag, 0, len(x.shown))
		for _, key := range x.shown {
			k := x.keys[key]
			x.tags = append(x.tags, Tag{Key: key, Values: slices.Clone(k.shown), More: len(k.values) - len(k.shown)})
		}
	}
	return x.tags, len(x.keys) - len(x.shown)
}

// sample is some members of a set, rising: those that came first of the ones that are still there.
type sample []string

func (s *sample) add(member string, limit int) {
	if len(*s) < limit {
		s.insert(member)
	}
}

func (s *sample) insert(member string) {
	if i, found := slices.BinarySearch(*s, member); !found {
		*s = slices.Insert(*s, i, member)
	}
}

func (s *sample) remove(member string) {
	if i, found := slices.BinarySearch(*s, member); found {
		*s = slices.Delete(*s, i, i+1)
	}
}

// sampleAgain takes members in that were not shown yet, the first by name: which
// ones must not hang on the order of a map.
func sampleMembers[V any](s *sample, members map[string]V, limit int) {
	want := min(limit, len(members)) - len(*s)
	if want <= 0 {
		return
	}
	next := make(sample, 0, want+1)
	for member := range members {
		if len(next) == want && member > next[want-1] {
			continue
		}
		if _, shown := slices.BinarySearch(*s, member); shown {
			continue
		}
		next.insert(member)
		next = next[:min(len(next), want)]
	}
	for _, member := range next {
		s.insert(member)
	}
}
