package aggregate

import "math/bits"

// Percentile is the aggregation that extracts the value at rank
// floor(of/outOf × (n−1)) of the sorted values, within SketchError; of 999 in
// 1000 is p99.9. of must not exceed outOf. Without a sketch there is no value.
func Percentile(of, outOf uint64) Extract {
	return func(a *Acc) (float64, bool) {
		n := a.Sketch.Count()
		if n == 0 {
			return 0, false
		}
		// In integers: as floats, 29 % of 100 is 28.999999999999996, another rank.
		hi, lo := bits.Mul64(uint64(n-1), of)
		rank, _ := bits.Div64(hi, lo, outOf)
		// The extremes are known exactly, so no estimate need lie beyond them.
		return min(max(a.Sketch.At(int64(rank)), a.Min), a.Max), true
	}
}
