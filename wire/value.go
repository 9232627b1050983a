package wire

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
)

// Value is what one series has: a number, or the distribution that the aggregation
// histogram gives. Null is absent.
type Value struct {
	Number float64 `ts:"|"`
	Bins   []Bin   `ts:"|"` // Rising; nil = it is a number.
}

// Bin is one bin of a distribution: [lower, upper, count], how many values lie between
// its bounds.
type Bin struct {
	Lower float64
	Upper float64
	Count int64
}

// MaxBins is how many bins a distribution has at most.
const MaxBins = 64

// NewBins returns bins of another package's type as those of a value.
func NewBins[B ~struct {
	Lower, Upper float64
	Count        int64
}](bins []B,
) []Bin {
	out := make([]Bin, len(bins))
	for i, b := range bins {
		out[i] = Bin(b)
	}
	return out
}

// UnmarshalJSON reads a number or a list of bins.
func (v *Value) UnmarshalJSON(b []byte) error {
	var out Value
	if len(b) > 0 && b[0] == '[' {
		if err := json.Unmarshal(b, &out.Bins); err != nil {
			return err
		}
		if err := checkBins(out.Bins); err != nil {
			return err
		}
	} else if err := json.Unmarshal(b, &out.Number); err != nil {
		return err
	}
	*v = out
	return nil
}

// MarshalJSON is the inverse of UnmarshalJSON.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.Bins != nil {
		return appendBins(nil, v.Bins), nil
	}
	return json.Marshal(v.Number)
}

// UnmarshalJSON reads [lower, upper, count].
func (b *Bin) UnmarshalJSON(text []byte) error {
	var out Bin
	if err := readTuple(text, 3, &out.Lower, &out.Upper, &out.Count); err != nil {
		return err
	}
	*b = out
	return nil
}

var errBins = errors.New("a distribution has 1 to " + strconv.Itoa(MaxBins) + " bins, each with rising bounds, a count above 0, and none below the end of the one before it")

// checkBins reports what is no distribution.
func checkBins(bins []Bin) error {
	if len(bins) == 0 || len(bins) > MaxBins {
		return errBins
	}
	end := math.Inf(-1)
	for _, b := range bins {
		if b.Lower < end || b.Upper < b.Lower || b.Count <= 0 {
			return errBins
		}
		end = b.Upper
	}
	return nil
}

// boundDigits is how many digits of a bound are written. It tells bins apart that are
// a millionth wide, and halves the length of a distribution.
const boundDigits = 7

// appendBins writes a distribution, in less than 4 KiB.
func appendBins(b []byte, bins []Bin) []byte {
	b = append(b, '[')
	for i := range bins {
		b = append(comma(b), '[')
		b = strconv.AppendFloat(b, bins[i].Lower, 'g', boundDigits, 64)
		b = append(b, ',')
		b = strconv.AppendFloat(b, bins[i].Upper, 'g', boundDigits, 64)
		b = append(b, ',')
		b = append(strconv.AppendInt(b, bins[i].Count, 10), ']')
	}
	return append(b, ']')
}

// bins reads a list of bins, after its bracket.
func (s *scanner[T]) bins() []Bin {
	bins := make([]Bin, 0, MaxBins) // Most have nearly as many.
	for s.more(len(bins), ']') {
		b := Bin{Lower: s.literal("[").float()}
		b.Upper = s.literal(",").float()
		b.Count = s.literal(",").integer()
		s.literal("]")
		if bins = append(bins, b); len(bins) > MaxBins {
			break
		}
	}
	if err := checkBins(bins); err != nil {
		s.fail(err)
	}
	return bins
}

// total is how many values a distribution holds.
func total(bins []Bin) (n int64) {
	for i := range bins {
		n += bins[i].Count
	}
	return n
}

// Values are those of a point, in the order of its list of series.
type Values struct {
	// Numbers has one of each series, NaN where it is absent. Of a distribution it is how many values that holds.
	Numbers []float64
	// distributions has the JSON of each where they are none numbers, "" where one is absent: a gateway sends it as it
	// is, more often than it reads one. A pointer, for the memory of points that have numbers.
	distributions *[]string
}

// newValues takes those of a result's series.
func newValues(series []SeriesValue) Values {
	v := Values{Numbers: make([]float64, len(series))}
	var texts []string
	for i := range series {
		s := &series[i]
		switch {
		case s.Bins != nil:
			if texts == nil {
				texts = make([]string, len(series))
			}
			v.Numbers[i], texts[i] = float64(total(s.Bins)), string(appendBins(nil, s.Bins))
		case s.Value != nil:
			v.Numbers[i] = *s.Value
		default:
			v.Numbers[i] = math.NaN()
		}
	}
	if texts != nil {
		v.distributions = &texts
	}
	return v
}

// Are reports whether both are the same ones, in the same memory: those of a point are shared by all streams.
func (v Values) Are(o Values) bool {
	return len(v.Numbers) == len(o.Numbers) && (len(v.Numbers) == 0 || &v.Numbers[0] == &o.Numbers[0])
}

// Equal compares values as JSON shows them.
func (v Values) Equal(o Values) bool {
	same := func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }
	if !slices.EqualFunc(v.Numbers, o.Numbers, same) || (v.distributions == nil) != (o.distributions == nil) {
		return false
	}
	return v.distributions == nil || slices.Equal(*v.distributions, *o.distributions)
}

// Pick returns those at these places.
func (v Values) Pick(places []int) Values {
	out := Values{Numbers: make([]float64, len(places))}
	for to, from := range places {
		out.Numbers[to] = v.Numbers[from]
	}
	if v.distributions != nil {
		texts := make([]string, len(places))
		for to, from := range places {
			texts[to] = (*v.distributions)[from]
		}
		out.distributions = &texts
	}
	return out
}

func (v Values) append(b []byte) []byte {
	b = append(b, '[')
	for i, x := range v.Numbers {
		b = v.appendAt(comma(b), i, x)
	}
	return append(b, ']')
}

// appendAt writes one, of which x is the number.
func (v Values) appendAt(b []byte, i int, x float64) []byte {
	if v.distributions != nil {
		if text := (*v.distributions)[i]; text != "" {
			return append(b, text...)
		}
	}
	return appendValue(b, x)
}
