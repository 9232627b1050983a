package aggregate

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// aboveBorder reports whether v is above base^i of a scale, in exact arithmetic:
// v^(2^scale) is compared with 2^i.
func aboveBorder(v float64, scale, i int) bool {
	x := new(big.Float).SetPrec(53 << scale).SetFloat64(v)
	for range scale {
		x.Mul(x, x)
	}
	return x.Cmp(new(big.Float).SetMantExp(big.NewFloat(1), i)) > 0
}

func isInFineBin(v float64, i int) bool {
	return aboveBorder(v, fineScale, i) && !aboveBorder(v, fineScale, i+1)
}

// Borders, the floats beside them, powers of two, the extremes and others are in
// the bin that exact arithmetic says.
func TestFineBinsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 64))
	check := func(v float64) {
		t.Helper()
		if i := fineIndex(v); !isInFineBin(v, i) {
			t.Fatalf("%v (%x) is not in bin %d", v, v, i)
		}
	}
	for range 20_000 {
		if v := math.Float64frombits(r.Uint64() &^ (1 << 63)); v >= smallestNormal && v <= math.MaxFloat64 {
			check(v)
		}
	}
	for e := -1022; e <= 1023; e++ {
		check(math.Ldexp(1, e))
		check(math.Nextafter(math.Ldexp(1, e), math.Inf(1)))
		if e > -1022 {
			check(math.Nextafter(math.Ldexp(1, e), 0))
		}
	}
	check(math.MaxFloat64)
	for i := lowestFine + 1; i <= highestFine; i += 1 + r.IntN(40) {
		border := fineBorder(i)
		for _, v := range []float64{border, math.Nextafter(border, 0), math.Nextafter(border, math.Inf(1))} {
			if v >= smallestNormal {
				check(v)
			}
		}
		if up := math.Nextafter(border, math.Inf(1)); aboveBorder(border, fineScale, i) || !aboveBorder(up, fineScale, i) {
			t.Fatalf("%x is not the greatest float up to the border %d", border, i)
		}
	}
	if fineIndex(smallestNormal) != lowestFine || fineIndex(math.MaxFloat64) != highestFine {
		t.Errorf("the bins are %d to %d", fineIndex(smallestNormal), fineIndex(math.MaxFloat64))
	}
}

func TestSketchErrorIsThatOfItsBins(t *testing.T) {
	base := math.Exp2(1.0 / perOctave)
	if e := (base - 1) / (base + 1); SketchError < e || SketchError > e*1.001 {
		t.Errorf("SketchError is %v, that of the bins %v", SketchError, e)
	}
	for i := lowestFine + 100; i < highestFine; i += 61 {
		low, high, middle := fineBorder(i), fineBorder(i+1), newBin(i+keyOffset, 1).value()
		if middle-low > SketchError*low || high-middle > SketchError*high {
			t.Fatalf("bin %d: %v to %v by %v", i, low, high, middle)
		}
	}
}
