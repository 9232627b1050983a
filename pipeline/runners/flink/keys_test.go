package flink

import (
	"slices"
	"testing"
)

func TestEvenKeys(t *testing.T) {
	for _, n := range []int{1, 2, 3, 16, 128, 256} {
		const most = 128
		keys := evenKeys(n, most)
		if got := slices.Compact(slices.Sorted(slices.Values(keys))); len(got) != n {
			t.Errorf("%d keys, of which %d differ", n, len(got))
		}
		for parallelism := 1; parallelism <= min(n, 16); parallelism++ {
			counts := make([]int, parallelism)
			for _, key := range keys {
				counts[keyGroup(key, most)*parallelism/most]++
			}
			if spread := slices.Max(counts) - slices.Min(counts); n%parallelism == 0 && spread > 0 || spread > max(1, n/most*2) {
				t.Errorf("%d keys at parallelism %d: %v", n, parallelism, counts)
			}
		}
	}
}
