package aggregate

import (
	"math"
	"math/big"
)

// Bins of values grow by a constant factor, the base: that of scale s is 2^(2^-s),
// and bin i has the values in (base^i, base^(i+1)], as in OpenTelemetry's
// exponential histograms and Prometheus' native ones (whose bin i+1 is our bin i).
// Two neighbours of a scale are one bin of the scale below, so that a histogram of
// a finer scale becomes one of a coarser without an error.
//
// Sketches have bins of fineScale.
const (
	fineScale = 6
	perOctave = 1 << fineScale // Fine bins between a power of two and the next.

	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1
	exponentBias = 1023

	lowestFine  = -1022*perOctave - 1 // The fine bin of the smallest normal float,
	highestFine = 1024*perOctave - 1  // and that of the largest.
)

// borders are those of the fine bins between 1 and 2, to compare mantissas with: a
// logarithm would put values beside a border on its wrong side.
type borders struct {
	// mantissa is that of the greatest float that is not above 2^(i/64). None of these is a float but
	// that of i = 0, so a float is above the border if its mantissa is above this one.
	mantissa [perOctave + 1]uint64
	// below is how many of them are below i/128: two never lie in one part of so many.
	below [2 * perOctave]uint8
}

const belowShift = mantissaBits - fineScale - 1

var fine = fineBorders() //nolint:gochecknoglobals // Constants that Go cannot compute.

func fineBorders() *borders {
	const precision = 128
	root := new(big.Float).SetPrec(precision).SetInt64(2)
	for range fineScale {
		root.Sqrt(root)
	}
	var t borders
	one := big.NewFloat(1)
	border := new(big.Float).SetPrec(precision).SetInt64(1)
	for i := range perOctave {
		part := new(big.Float).Sub(border, one)
		t.mantissa[i], _ = part.SetMantExp(part, mantissaBits).Uint64()
		border.Mul(border, root)
	}
	t.mantissa[perOctave] = 1 << mantissaBits // Above every mantissa.
	for i := range t.below {
		for t.mantissa[t.below[i]] < uint64(i)<<belowShift {
			t.below[i]++
		}
	}
	return &t
}

// fineIndex returns the fine bin of a positive, finite float that is not subnormal.
func fineIndex(v float64) int {
	b := math.Float64bits(v)
	mantissa := b & mantissaMask
	n := int(fine.below[mantissa>>belowShift])
	if fine.mantissa[n] < mantissa {
		n++
	}
	return (int(b>>mantissaBits)-exponentBias)*perOctave + n - 1
}

// fineBorder returns the lower border of a fine bin: the greatest float that is not
// above base^i. So a float is above the border where it is above what this returns.
func fineBorder(i int) float64 {
	if i > highestFine {
		return math.MaxFloat64
	}
	fraction := math.Float64frombits(exponentBias<<mantissaBits | fine.mantissa[i&(perOctave-1)])
	return math.Ldexp(fraction, i>>fineScale)
}

// scaleError is how far, relatively, a value may be from where it is counted: in a fine bin, or by a
// histogram of so many scales below, whose bins count in the fine bin of their geometric middle.
func scaleError(coarser int8) float64 {
	if coarser == 0 {
		return SketchError
	}
	n := 1 << coarser // Fine bins in one of them.
	middle := fineBorder(middleFine(0, coarser)) * middleOfBin
	return max(middle-1, 1-middle/fineBorder(n)) + 1e-15
}

// middleFine is the fine bin of the geometric middle of a bin of so many scales below.
func middleFine(i int, coarser int8) int { return i<<coarser + (1<<coarser-1)/2 }

// middleOfBin is the middle of a fine bin by its lower border: as far, relatively, from both of its
// borders, by (base−1)/(base+1).
const middleOfBin = 2 * fineBase / (1 + fineBase)

// fineBase is 2^(1/64).
const fineBase = 1.0108892860517004600204097905618605243881407309
