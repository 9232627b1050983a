package aggregate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"pulseboard/aggregate"
)

const earliest = math.MinInt64 / 2

func restored(t *testing.T, o aggregate.Options, histories ...[]byte) *aggregate.Store {
	t.Helper()
	s := aggregate.NewStore(o)
	for _, h := range histories {
		if err := s.RestoreHistory(h, 0); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Every bit of every accumulator is there again, of histories that follow each
// other and of what came late for them.
func TestHistoryIsTheStore(t *testing.T) {
	for name, value := range kinds() {
		r := rand.New(rand.NewPCG(3, 4))
		s := aggregate.NewStore(aggregate.Options{Retain: 1000})
		var histories [][]byte
		packed, late, whole := int64(earliest), aggregate.Table{}, 0
		for slice := int64(0); slice < 300; slice++ {
			table := aggregate.Table{}
			for range r.IntN(12) {
				at := slice - r.Int64N(1+r.Int64N(1+r.Int64N(150))) + r.Int64N(3)
				needs := [4]aggregate.Needs{0, 0, aggregate.NeedSketch, aggregate.NeedSketch | aggregate.NeedMoments}[r.IntN(4)]
				table.AddFor(needs, at, key(fmt.Sprint("m", r.IntN(2)), fmt.Sprint("s", r.IntN(6))), value(r), at*1000+r.Int64N(1000))
				whole++
			}
			s.Merge(table)
			for at, row := range table {
				if at <= packed {
					late.Merge(aggregate.Table{at: row})
				}
			}
			if slice%41 == 40 {
				h, cells := s.AppendHistory(nil, packed, slice)
				if cells == 0 {
					t.Fatal("nothing is in a history")
				}
				histories = append(histories, aggregate.AppendTable(nil, late), h)
				packed, late = slice, aggregate.Table{}
			}
		}
		ahead, _ := s.AppendHistory(nil, packed, math.MaxInt64)
		again := aggregate.NewStore(aggregate.Options{Retain: 1000})
		for _, h := range append(histories, aggregate.AppendTable(nil, late), ahead) {
			if aggregate.IsHistory(h) {
				if err := again.RestoreHistory(h, 0); err != nil {
					t.Fatal(err)
				}
				continue
			}
			table, err := aggregate.DecodeTable(h)
			if err != nil {
				t.Fatal(err)
			}
			again.Restore(table)
		}
		want, got := s.Table(), again.Table()
		if want.Count() != int64(whole) {
			t.Fatalf("%s: the store holds %d events of %d", name, want.Count(), whole)
		}
		if !sameTable(got, want, name) {
			t.Errorf("%s: %d events are restored, of %d, or not the same", name, got.Count(), want.Count())
		}
		if s.Series() != again.Series() || len(s.SeriesTags()) != len(again.SeriesTags()) {
			t.Errorf("%s: %d series of %d metrics, want %d of %d", name, again.Series(), len(again.SeriesTags()), s.Series(), len(s.SeriesTags()))
		}
	}
}

// sameTable: what came late was added up by itself first, so the last bits of sums of other
// numbers than whole ones may differ, and where squares exceed what a float holds.
func sameTable(t, want aggregate.Table, kind string) bool {
	got := t.Held()
	for slice, row := range want.Held() {
		for k, a := range row {
			b := got[slice][k]
			if b == nil || a.Count != b.Count || a.Min != b.Min || a.Max != b.Max || a.Newest != b.Newest || !sameSketches(a.More, b.More) {
				return false
			}
			if exact := kind == "integers" || kind == "extremes"; exact && a.Sum != b.Sum || !exact && !near(a.Sum, b.Sum) {
				return false
			}
			if kind != "extremes" && !sameMoments(a.More, b.More) {
				return false
			}
		}
	}
	return len(got) == len(want)
}

func near(x, y float64) bool { return math.Abs(x-y) <= 1e-9*math.Abs(y)+1e-9 }

func sameSketches(a, b *aggregate.More) bool {
	if a == nil || b == nil {
		return a == b
	}
	return reflect.DeepEqual(a.Sketch, b.Sketch)
}

func sameMoments(a, b *aggregate.More) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Moments.Count == b.Moments.Count && near(a.Moments.Mean, b.Moments.Mean) && near(a.Moments.Squares, b.Moments.Squares)
}

// A window over what was restored is the window over what was there, also when some of it came after.
func TestWindowsOfHistories(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	s := aggregate.NewStore(aggregate.Options{Retain: 500})
	events := func(s ...*aggregate.Store) {
		for _, store := range s {
			r := rand.New(rand.NewPCG(9, 9))
			for slice := int64(200); slice < 260; slice++ {
				table := aggregate.Table{}
				for range 5 {
					table.Add(slice-r.Int64N(90), key("m", fmt.Sprint(r.IntN(4))), float64(r.IntN(100)), slice)
				}
				store.Merge(table)
			}
		}
	}
	for slice := range int64(200) {
		table := aggregate.Table{}
		for range r.IntN(9) {
			table.Add(slice, key("m", fmt.Sprint(r.IntN(4))), float64(r.IntN(100)), slice)
		}
		s.Merge(table)
	}
	h, _ := s.AppendHistory(nil, earliest, 199)
	again := restored(t, aggregate.Options{Retain: 500}, h)
	events(s, again)
	windows := []aggregate.Range{{From: 0, To: 260}, {From: 100, To: 205}, {From: 190, To: 200}, {From: 250, To: 260}}
	want, got := map[string][]aggregate.Acc{}, map[string][]aggregate.Acc{}
	for store, out := range map[*aggregate.Store]map[string][]aggregate.Acc{s: want, again: got} {
		build(store, "q", 100, byFirst, windows, func(group string, accs []aggregate.Acc) {
			out[group] = append([]aggregate.Acc(nil), accs...)
		})
	}
	if len(want) != 4 || !reflect.DeepEqual(got, want) {
		t.Errorf("windows are %v, want %v", got, want)
	}
}

// What a store lost before is lost after: a window that lacks something must not say that it is whole.
func TestLossesAreRestored(t *testing.T) {
	o := aggregate.Options{Retain: 4000, Budget: aggregate.NewBudget(100_000, 1, 1)}
	s := aggregate.NewStore(o)
	for slice := range int64(2000) {
		table := aggregate.Table{}
		for i := range 8 {
			table.Add(slice, key("m", fmt.Sprint(i)), math.Sin(float64(100*slice+int64(i))), slice)
		}
		s.Merge(table)
		s.Pass(slice)
	}
	horizon := s.Horizon("m")
	if horizon < 100 {
		t.Fatalf("nothing was forgotten: the oldest slice is %d", horizon)
	}
	h, _ := s.AppendHistory(nil, earliest, 2000)
	again := aggregate.NewStore(aggregate.Options{Retain: 4000, Budget: aggregate.NewBudget(100_000, 1, 1)})
	again.RestoreLosses(s.Losses())
	if err := again.RestoreHistory(h, 1999); err != nil {
		t.Fatal(err)
	}
	if got := again.Horizon("m"); got < horizon {
		t.Errorf("the oldest slice is %d after a restore, was %d", got, horizon)
	}
}

func TestRestoredSeriesAreThoseThatWereLetIn(t *testing.T) {
	o := aggregate.Options{Retain: 100, SeriesPerMetric: 3}
	s := aggregate.NewStore(o)
	for slice := range int64(50) {
		table := aggregate.Table{}
		table.Add(slice, key("m", fmt.Sprint((slice*7)%8)), 1, slice)
		s.Merge(table)
	}
	h, _ := s.AppendHistory(nil, earliest, 50)
	again := restored(t, o, h)
	if got, want := again.Table(), s.Table(); !reflect.DeepEqual(got.Held(), want.Held()) || want.Count() != 50 || s.Series() != 4 {
		t.Errorf("%d series with %d events, want %d with %d", again.Series(), got.Count(), s.Series(), want.Count())
	}
}

func TestHistoryTruncated(t *testing.T) {
	s := aggregate.NewStore(aggregate.Options{Retain: 1000})
	s.Merge(minute(kinds()["decimals"]))
	b, _ := s.AppendHistory(nil, earliest, math.MaxInt64)
	for n := range b {
		if n > 2000 && n%97 != 0 {
			continue
		}
		if err := aggregate.NewStore(aggregate.Options{Retain: 1000}).RestoreHistory(b[:n], 0); err == nil {
			t.Fatalf("the first %d bytes of %d read as a history", n, len(b))
		}
	}
}

func FuzzRestoreHistory(f *testing.F) {
	s := aggregate.NewStore(aggregate.Options{Retain: 1000})
	table := aggregate.Table{}
	for i, v := range []float64{0, 1, -1, math.MaxFloat64, 5e-324, -12.5} {
		table.AddFor(aggregate.NeedSketch, int64(i/2), key("m", "x"), v, int64(i))
		table.Add(int64(i/2), key("n", "y"), v, int64(i))
	}
	s.Merge(table)
	b, _ := s.AppendHistory(nil, earliest, math.MaxInt64)
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) {
		s := aggregate.NewStore(aggregate.Options{Retain: 1 << 20})
		if s.RestoreHistory(b, 0) != nil {
			return
		}
		s.Table()
	})
}

// What state takes of 64 slices, bytes of one series and slice, and what it costs to write and to read them.
func BenchmarkHistory(b *testing.B) {
	for name, value := range kinds() {
		table := minute(value)
		single := 0
		for slice, row := range table {
			single += len(aggregate.AppendTable(nil, aggregate.Table{slice: row}))
		}
		s := aggregate.NewStore(aggregate.Options{Retain: 1000})
		s.Merge(table)
		history, cells := s.AppendHistory(nil, earliest, math.MaxInt64)
		b.Run(name+"/append", func(b *testing.B) {
			for b.Loop() {
				history, _ = s.AppendHistory(history[:0], earliest, math.MaxInt64)
			}
			b.ReportMetric(float64(single)/float64(cells), "B/partial-cell")
			b.ReportMetric(float64(len(history))/float64(cells), "B/history-cell")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*cells), "ns/cell")
		})
		b.Run(name+"/restore", func(b *testing.B) {
			for b.Loop() {
				if err := aggregate.NewStore(aggregate.Options{Retain: 1000}).RestoreHistory(history, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*cells), "ns/cell")
		})
	}
}
