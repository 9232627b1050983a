package aggregate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pulseboard/aggregate"
)

// second is that from which on the slices of the tests below are: those of today have big numbers.
const second = 1_763_892_000

// courses are values as series have them, one slice after the other.
func courses() map[string]func(r *rand.Rand, i int64) float64 {
	return map[string]func(r *rand.Rand, i int64) float64{
		"whole":    func(r *rand.Rand, _ int64) float64 { return float64(r.IntN(1000)) },
		"quarters": func(r *rand.Rand, _ int64) float64 { return float64(r.IntN(2000)) / 4 },
		"floats":   func(r *rand.Rand, _ int64) float64 { return r.NormFloat64() * 100 },
		"constant": func(*rand.Rand, int64) float64 { return 42 },
		"counter":  func(r *rand.Rand, i int64) float64 { return 1e7 + 100*float64(i) + float64(r.IntN(100)) },
	}
}

// course is so many slices of a second, with some events each.
func course(kind string, slices, events int) []aggregate.Acc {
	r := rand.New(rand.NewPCG(21, 5))
	value := courses()[kind]
	accs := make([]aggregate.Acc, slices)
	for i := range accs {
		for range events {
			accs[i].Add(value(r, int64(i)), (second+int64(i))*1000+r.Int64N(1000))
		}
	}
	return accs
}

// shapes are columns of integers that are packed in different ways, and what is at their edges.
func shapes() map[string]func(r *rand.Rand, i int) int64 {
	return map[string]func(r *rand.Rand, i int) int64{
		"constant": func(*rand.Rand, int) int64 { return -7 },
		"bits":     func(r *rand.Rand, _ int) int64 { return 1000 + r.Int64N(1<<(1+r.Int64N(62))) },
		"narrow":   func(r *rand.Rand, _ int) int64 { return 1_763_892_000_000 + r.Int64N(1000) },
		"any":      func(r *rand.Rand, _ int) int64 { return int64(r.Uint64()) },
		"edges": func(r *rand.Rand, _ int) int64 {
			return []int64{math.MinInt64, math.MaxInt64, 0, -1, 1, 1 << 56, 1<<56 - 1, 1 << 57}[r.IntN(8)]
		},
		"steps":     func(r *rand.Rand, i int) int64 { return 1e15 + int64(i)*1_000_003 + r.Int64N(4) },
		"resets":    func(r *rand.Rand, i int) int64 { return int64(i%150)*1_000_003 + r.Int64N(4) },
		"even":      func(_ *rand.Rand, i int) int64 { return int64(i) * -60 },
		"multiples": func(r *rand.Rand, _ int) int64 { return 5 + 25*r.Int64N(2000) },
		"outliers": func(r *rand.Rand, _ int) int64 {
			if r.IntN(50) == 0 {
				return int64(r.Uint64())
			}
			return r.Int64N(16)
		},
		"a jump": func(_ *rand.Rand, i int) int64 { return int64(i / 100 * 123_456_789) },
		"rarely": func(r *rand.Rand, _ int) int64 { return 1 + r.Int64N(40)/39 },
	}
}

// Integers of every shape are read as they were written, in columns of any length, and nothing behind them is.
func TestIntsAreRead(t *testing.T) {
	for name, shape := range shapes() {
		r := rand.New(rand.NewPCG(21, 6))
		for n := range 300 {
			want := make([]int64, n)
			for i := range want {
				want[i] = shape(r, i)
			}
			b := aggregate.AppendInts(nil, want)
			got, rest, ok := aggregate.ReadInts(append(b, "rest"...), n)
			if fmt.Sprint(got) != fmt.Sprint(want) || rest != "rest" || !ok {
				t.Fatalf("%s: %d numbers %v are read as %v, then %q, %v", name, n, want, got, rest, ok)
			}
			if most := 8*n + 30; len(b) > most {
				t.Errorf("%s: %d numbers take %d bytes", name, n, len(b))
			}
		}
	}
}

// What a column takes is what its shape needs: less than a byte a number where little changes.
func TestIntsAreSmall(t *testing.T) {
	for name, most := range map[string]float64{
		"constant": 0.02, "even": 0.05, "narrow": 1.35, "steps": 0.6, "resets": 0.6, "multiples": 1.45, "outliers": 0.95, "a jump": 0.1, "rarely": 0.25,
	} {
		r := rand.New(rand.NewPCG(21, 7))
		v := make([]int64, 256)
		for i := range v {
			v[i] = shapes()[name](r, i)
		}
		if got := float64(len(aggregate.AppendInts(nil, v))) / 256; got > most {
			t.Errorf("%s: %.2f bytes a number, want at most %.2f", name, got, most)
		}
	}
}

// numbers are columns of floats: decimals of all lengths, sums of them, and what there is besides.
func numbers() map[string]func(r *rand.Rand, i int) float64 {
	all := map[string]func(r *rand.Rand, i int) float64{
		"any bits": func(r *rand.Rand, _ int) float64 { return math.Float64frombits(r.Uint64()) },
		"special": func(r *rand.Rand, _ int) float64 {
			return []float64{
				0, math.Copysign(0, -1), 1, -1, 5e-324, -5e-324, 0x1p-1022, math.MaxFloat64, -math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN(),
				math.Float64frombits(0x7ff0000000000002), math.Float64frombits(0xfff8000000000001), 1 << 50, 1<<50 - 1, -1 << 50, 1 << 53, 1 << 62, 1 << 63, -1 << 63,
				0.1, 0.1 + 0.2, 1e15 / 3, 1e22, 1e-9, 123456.789, math.Nextafter(0.5, 1), math.Nextafter(1e6, 0),
			}[r.IntN(29)]
		},
		"sums": func(r *rand.Rand, _ int) (sum float64) {
			for range 1 + r.IntN(50) {
				sum += float64(r.IntN(100_000)) / 1000
			}
			return sum
		},
		"mostly whole": func(r *rand.Rand, _ int) float64 {
			return []float64{float64(r.IntN(1000)), float64(r.IntN(1000)), float64(r.IntN(1000)), float64(r.IntN(1000)), r.NormFloat64()}[r.IntN(5)]
		},
		"late decimals": func(r *rand.Rand, i int) float64 { return float64(r.IntN(1000)) / math.Pow10(i/20) },
		"thirds":        func(r *rand.Rand, _ int) float64 { return float64(r.IntN(1000)) / 3 },
	}
	for kind, course := range courses() {
		all[kind] = func(r *rand.Rand, i int) float64 { return course(r, int64(i)) }
	}
	return all
}

// Every bit of every float is read as it was written.
func TestFloatsAreRead(t *testing.T) {
	for name, number := range numbers() {
		r := rand.New(rand.NewPCG(21, 8))
		for n := range 300 {
			want := make([]float64, n)
			for i := range want {
				want[i] = number(r, i)
			}
			b := aggregate.AppendFloats(nil, want)
			got, rest, ok := aggregate.ReadFloats(append(b, "rest"...), n)
			for i := range want {
				if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
					t.Fatalf("%s: number %d of %d, %v (%x), is read as %v", name, i, n, want[i], math.Float64bits(want[i]), got[i])
				}
			}
			if rest != "rest" || !ok {
				t.Fatalf("%s: %d numbers are read, then %q, %v", name, n, rest, ok)
			}
		}
	}
}

// Blocks hold every slice, with every mask and number, to the last bit.
func TestBlocksAreRead(t *testing.T) {
	for needs := range aggregate.AllNeeds + 1 {
		for name, number := range numbers() {
			r := rand.New(rand.NewPCG(21, uint64(needs)))
			var c aggregate.Codec
			var want []string
			slice := r.Int64N(4e9) - 2e9
			for i := range r.IntN(1500) {
				slice += 1 + r.Int64N(1+r.Int64N(1+r.Int64N(1000)))
				a := someAcc(r, needs, func(r *rand.Rand) float64 { return number(r, i) })
				if a.Count > 0 && r.IntN(50) == 0 {
					a.Sum++ // Nothing hangs on that what is held of one event follows from its value.
				}
				c.Add(slice, &a)
				want = append(want, fmt.Sprint(slice, ": ", bits(a)))
			}
			read := 0
			var two aggregate.Codec
			for _, b := range c.Blocks() {
				if !two.Each(b, func(slice int64, a *aggregate.Acc) {
					if got := fmt.Sprint(slice, ": ", bits(*a)); got != want[read] {
						t.Fatalf("%s, %b: %s is read as %s", name, needs, want[read], got)
					}
					read++
				}) {
					t.Fatalf("%s, %b: a block is none", name, needs)
				}
			}
			if read != len(want) {
				t.Fatalf("%s, %b: %d slices are read of %d", name, needs, read, len(want))
			}
		}
	}
}

// What is no block is told, costs no memory, and does no harm.
func FuzzBlock(f *testing.F) {
	for kind := range courses() {
		for _, n := range []int{1, 24, 200} {
			var c aggregate.Codec
			for i, a := range course(kind, n, 1+n%3) {
				a.AddFor(aggregate.Needs(i)&aggregate.AllNeeds, 1.5, 5)
				c.Add(second+int64(i), &a)
			}
			f.Add([]byte(c.Blocks()[0]))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c, again aggregate.Codec
		var read []string
		if !c.Each(b, func(slice int64, a *aggregate.Acc) {
			read = append(read, fmt.Sprint(slice, bits(*a)))
			again.Add(slice, a)
		}) {
			return
		}
		i := 0
		for _, b := range again.Blocks() {
			if !c.Each(b, func(slice int64, a *aggregate.Acc) {
				if got := fmt.Sprint(slice, bits(*a)); got != read[i] {
					t.Fatalf("%s, packed again, is read as %s", read[i], got)
				}
				i++
			}) {
				t.Fatal("what was read is packed as no block")
			}
		}
		if i != len(read) || i == 0 {
			t.Fatalf("%d slices are read, then %d", len(read), i)
		}
	})
}

// What a slice takes in memory, of one event a second: what the README says.
func TestBytesASlice(t *testing.T) {
	const series, slices = 5, 4264
	for kind, most := range map[string]float64{"whole": 4, "quarters": 4.1, "counter": 4, "constant": 2.7, "floats": 11} {
		s := aggregate.NewStore(aggregate.Options{Retain: slices})
		for i, a := range course(kind, slices, 1) {
			table := aggregate.Table{}
			for n := range series {
				*table.Row(second + int64(i)).Acc(key("m", fmt.Sprint(n))) = a
			}
			s.Merge(table)
		}
		if got := float64(s.Bytes()) / series / slices; got > most {
			t.Errorf("%s: %.2f bytes a slice, want at most %.1f", kind, got, most)
		} else {
			t.Logf("%s: %.2f bytes a slice", kind, got)
		}
	}
}

// What is packed again and again, joined, split and forgotten is what was added: slices with gaps that are filled late,
// wherever they lie.
func TestSeriesAgainstOracle(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(21, 100+seed))
		const retain = 4000
		s := aggregate.NewStore(aggregate.Options{Retain: retain})
		want := map[int64]*aggregate.Acc{}
		add := func(slice int64) {
			table := aggregate.Table{}
			needs := aggregate.Needs(r.Uint64()) & aggregate.AllNeeds * aggregate.Needs(seed%2)
			table.AddFor(needs, slice, key("m", "s"), float64(r.IntN(1000)), slice*1000+r.Int64N(1000))
			if want[slice] == nil {
				want[slice] = new(aggregate.Acc)
			}
			want[slice].Merge(table.Held()[slice][[2]string{"m", "s"}])
			s.Merge(table)
		}
		for newest := int64(second); newest < second+6000; newest += 1 + r.Int64N(6+2*int64(seed)) {
			add(newest)
			for range r.IntN(3 + int(seed)) {
				add(newest - r.Int64N(1+r.Int64N(min(2500, newest-second)+1)))
			}
			if r.IntN(200) > 0 {
				continue
			}
			checkSeries(t, s, want, newest-newest%32-retain)
		}
		for _, d := range r.Perm(1200) { // Blocks that are joined become full.
			add(second + 2500 + int64(d))
		}
		checkSeries(t, s, want, second+2500)
		if blocks, most := s.Blocks(); blocks > 50 || most > 512 || most < 400 {
			t.Errorf("seed %d: %d blocks, of up to %d slices", seed, blocks, most)
		}
	}
}

// Blocks are joined once, in time, also while others are forgotten.
func TestBlocksAreJoined(t *testing.T) {
	s := aggregate.NewStore(aggregate.Options{Retain: 1000})
	for i, a := range course("whole", 5000, 1) {
		table := aggregate.Table{}
		*table.Row(second + int64(i)).Acc(key("m", "s")) = a
		s.Merge(table)
		// Ten that are young, and the joined ones that the retention touches.
		if blocks, most := s.Blocks(); blocks > 10+1000/192+2 || most > 192 || i > 2000 && most < 192 {
			t.Fatalf("after %d slices there are %d blocks, of up to %d slices", i+1, blocks, most)
		}
	}
}

// A block that is cut off, or of which a bit is another, is told or is some rising slices.
func TestDamagedBlocks(t *testing.T) {
	for _, n := range []int{1, 24, 192} {
		var c aggregate.Codec
		for i, a := range course("quarters", n, 2) {
			a.AddFor(aggregate.Needs(i)&aggregate.AllNeeds, 1.5, 5)
			c.Add(second+int64(i), &a)
		}
		block := c.Blocks()[0]
		for i := range block {
			if c.Each(block[:i], func(int64, *aggregate.Acc) {}) {
				t.Fatalf("%d of %d bytes are a block", i, len(block))
			}
			for bit := range 8 {
				block[i] ^= 1 << bit
				before := int64(math.MinInt64)
				c.Each(block, func(slice int64, a *aggregate.Acc) {
					if slice <= before || a.Count < 0 {
						t.Fatalf("slice %d, of %d events, comes after %d", slice, a.Count, before)
					}
					before = slice
				})
				block[i] ^= 1 << bit
			}
		}
	}
}

func checkSeries(t *testing.T, s *aggregate.Store, want map[int64]*aggregate.Acc, oldest int64) {
	t.Helper()
	got := s.Table().Held()
	for slice, a := range want {
		b := got[slice][[2]string{"m", "s"}]
		switch {
		case b == nil && slice >= oldest:
			t.Fatalf("slice %d of %+v is not there", slice, *a)
		case b != nil && !sameAcc(*a, *b, true):
			t.Fatalf("slice %d is %s, want %s", slice, bits(*b), bits(*a))
		}
	}
	if charged, counted := s.Bytes(), s.Count(); charged != counted {
		t.Fatalf("%d bytes are charged, %d are counted", charged, counted)
	}
}

func BenchmarkBlock(b *testing.B) {
	for kind := range courses() {
		for _, n := range []int{24, 192} {
			accs := course(kind, n, 1)
			var c aggregate.Codec
			var block aggregate.Block
			name := kind + map[int]string{24: "/24", 192: "/192"}[n]
			b.Run(name+"/pack", func(b *testing.B) {
				for b.Loop() {
					for i := range accs {
						c.Add(second+int64(i), &accs[i])
					}
					block = c.Blocks()[0]
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/cell")
				b.ReportMetric(float64(len(block))/float64(n), "B/cell")
			})
			b.Run(name+"/unpack", func(b *testing.B) {
				for b.Loop() {
					c.Each(block, func(int64, *aggregate.Acc) {})
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/cell")
			})
		}
	}
}
