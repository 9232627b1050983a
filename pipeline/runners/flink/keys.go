package flink

import (
	"encoding/binary"
	"math/bits"
)

// evenKeys returns n keys of which Flink puts as many into each of its key groups, or
// into key groups that lie as far apart as they can: every parallelism that divides n gets the
// same number of them in each subtask. A subtask has the key groups from
// its number × maxParallelism / parallelism on.
func evenKeys(n, maxParallelism int) []int64 {
	keys := make([]int64, n)
	free := make([][]int, maxParallelism) // By key group of Flink: indexes of keys that are still to be found in it.
	for i := range n {
		group := i % maxParallelism
		if n < maxParallelism {
			group = (2*i + 1) * maxParallelism / (2 * n)
		}
		free[group] = append(free[group], i)
	}
	for key, left := int64(0), n; left > 0; key++ {
		group := keyGroup(key, maxParallelism)
		if wanted := free[group]; len(wanted) > 0 {
			keys[wanted[0]], free[group] = key, wanted[1:]
			left--
		}
	}
	return keys
}

// keyGroup is the key group that Flink puts a key of Beam's into: it hashes the bytes of
// Beam's varint as java.nio.ByteBuffer does, and mixes that as MathUtils.murmurHash does.
func keyGroup(key int64, maxParallelism int) int {
	b := binary.AppendUvarint(nil, uint64(key))
	sum := int32(1)
	for i := len(b) - 1; i >= 0; i-- {
		sum = 31*sum + int32(int8(b[i]))
	}
	h := uint32(sum) * 0xcc9e2d51
	h = bits.RotateLeft32(h, 15) * 0x1b873593
	h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	h ^= 4
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	mixed := int32(h)
	if mixed < 0 {
		mixed = max(0, -mixed) // The least of all has no opposite.
	}
	return int(mixed) % maxParallelism
}
