package canary

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
)

const first = 1_763_892_000 // The slot of the first event of each case.

// sheet is a ledger of which a case tells what happened: of each slot from first
// on, a letter.
type sheet struct {
	*ledger

	sums map[int64]uint64 // What the pipeline counted, by slot.
	now  time.Time
}

func newSheet(sent string) *sheet {
	s := &sheet{ledger: newLedger(nil, slog.New(slog.DiscardHandler), time.Unix(first, 0)), sums: map[int64]uint64{}}
	for i, what := range sent {
		slot := int64(first + i)
		at := time.Unix(slot, 0).Add(phase(slot))
		s.now = at
		switch what {
		case 'a': // Acknowledged, and counted once.
			s.add(at)
			s.acknowledge(at, at)
			s.sums[slot] = 1
		case 'n': // Sent, and neither acknowledged nor counted.
			s.add(at)
		case 'u': // Counted without an acknowledgement.
			s.add(at)
			s.sums[slot] = 1
		case 'x': // Acknowledged, and never counted.
			s.add(at)
			s.acknowledge(at, at)
		case '2', '3':
			s.add(at)
			s.acknowledge(at, at)
			s.sums[slot] = uint64(what - '0')
		case '.': // Nothing was sent.
		default:
			panic(what)
		}
	}
	return s
}

// window shows the window that ends after the slot first+i.
func (s *sheet) window(i int, complete bool) {
	w := window{end: int64(first + i + 1), complete: complete}
	for slot := w.end - Slots; slot < w.end; slot++ {
		w.sum += mark(slot) * float64(s.sums[slot])
	}
	s.show(w, time.Unix(w.end, 0).Add(300*time.Millisecond))
}

func (s *sheet) windows(from, to int) {
	for i := from; i <= to; i++ {
		s.window(i, true)
	}
}

// verdicts are the letters of all that were given, such as "counted 3, lost 1".
func (s *sheet) verdicts() string {
	var out []string
	for _, v := range []string{verdictCounted, verdictLate, verdictTwice, verdictLost, verdictIncomplete, verdictUnseen} {
		var m dto.Metric
		if err := s.metrics.verdicts.WithLabelValues(v).Write(&m); err != nil {
			panic(err)
		}
		if n := m.GetCounter().GetValue(); n > 0 {
			out = append(out, fmt.Sprint(v, " ", n))
		}
	}
	return strings.Join(out, ", ")
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		show       func(s *sheet)
		want       string
	}{
		{"all is well", "aaa", func(s *sheet) { s.windows(0, 40) }, "counted 3"},
		{"not before the windows that a stream sends afterwards have come", "a", func(s *sheet) { s.windows(0, Slots+grace-2) }, ""},
		{"then at once", "a", func(s *sheet) { s.windows(0, Slots+grace-1) }, "counted 1"},
		{"one is lost", "axa", func(s *sheet) { s.windows(0, 40) }, "counted 2, lost 1"},
		{"one is there twice", "a2a", func(s *sheet) { s.windows(0, 40) }, "counted 2, twice 1"},
		{"three times", "a3a", func(s *sheet) { s.windows(0, 40) }, "counted 2, twice 1"},
		{"what nobody promised is judged by nobody", "anu.a", func(s *sheet) { s.windows(0, 40) }, "counted 2"},
		{"more seconds than a window has", strings.Repeat("a", 60), func(s *sheet) { s.windows(0, 100) }, "counted 60"},
		{"the same with a loss in each", strings.Repeat("aaaaax", 10), func(s *sheet) { s.windows(0, 100) }, "counted 50, lost 10"},
		{"late: not in its first window, then in the others", "ax", func(s *sheet) {
			s.windows(0, 3)
			s.sums[first+1] = 1
			s.windows(4, 40)
		}, "counted 1, late 1"},
		{"late: in its last window only", "x", func(s *sheet) {
			s.windows(0, Slots-2)
			s.sums[first] = 1
			s.windows(Slots-1, 40)
		}, "late 1"},
		{"too late for its last window", "x", func(s *sheet) {
			s.windows(0, Slots-1)
			s.sums[first] = 1
			s.windows(Slots, 40)
		}, "lost 1"},
		{"a window that the stream sends after a newer one", "a", func(s *sheet) {
			s.windows(1, Slots+grace-2)
			s.window(0, true)
			s.window(Slots+grace-1, true)
		}, "late 1"},
		{"the same windows again", "a", func(s *sheet) {
			s.windows(0, 20)
			s.windows(0, 40)
		}, "counted 1"},
		{"no window at all while it could be in one", "aa", func(s *sheet) { s.windows(Slots+1, 60) }, "unseen 2"},
		{"a jump over its last window, which it might have been in", "x", func(s *sheet) {
			s.windows(0, 10)
			s.windows(Slots, 60)
		}, "unseen 1"},
		{"a pipeline that has not read all says so", "x", func(s *sheet) {
			for i := range Slots {
				s.window(i, false)
			}
			s.windows(Slots, 60)
		}, "incomplete 1"},
		{"what it has read counts all the same", "a", func(s *sheet) {
			for i := range Slots {
				s.window(i, false)
			}
			s.windows(Slots, 60)
		}, "counted 1"},
		{"no result for ten minutes", "a" + strings.Repeat(".", 599) + "..a", func(*sheet) {}, "unseen 1"},
		{"sums that are not of ours judge nothing", "a", func(s *sheet) {
			s.sums[first] = 1 << 60
			s.windows(0, 40)
		}, "unseen 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSheet(c.sent)
			c.show(s)
			if got := s.verdicts(); got != c.want {
				t.Errorf("verdicts %q, want %q", got, c.want)
			}
			if len(s.events) > 0 && c.want != "" && !strings.HasSuffix(c.sent, "..a") {
				t.Errorf("%d events are kept", len(s.events))
			}
		})
	}
}

// The age is that of the newest event that was seen, whatever comes after it.
func TestAge(t *testing.T) {
	s := newSheet("aaxx")
	at := func(i int64) time.Time { return time.Unix(first+i, 0).Add(phase(first + i)) }
	if got := s.age(time.Unix(first+5, 0)); got != 5*time.Second {
		t.Errorf("%v before the first, want 5s since the start", got)
	}
	s.windows(0, 3)
	if got := s.age(at(1).Add(7 * time.Second)); got != 7*time.Second {
		t.Errorf("%v, want 7s since the newest that was counted", got)
	}
	s.windows(0, 0) // An old one again.
	if got := s.age(at(1).Add(7 * time.Second)); got != 7*time.Second {
		t.Errorf("%v after an old window", got)
	}
	if got := s.age(at(0)); got != 0 {
		t.Errorf("%v by a clock that went back", got)
	}
}

// Whatever happened to events, a sum tells it of each.
func TestSumsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		begin := r.Int64N(1 << 33)
		want := make([]int, Slots)
		sum := 0.0
		for i := range want {
			want[i] = r.IntN(4)
			for range want[i] {
				sum += mark(begin + int64(i)) // One by one, as the pipeline does.
			}
		}
		got, ok := readSum(sum)
		if !ok {
			t.Fatalf("%v is none of ours", sum)
		}
		for i := range want {
			if n := times(got, begin+int64(i)); n != want[i] {
				t.Fatalf("slot %d is there %d times, want %d", begin+int64(i), n, want[i])
			}
		}
	}
	for _, v := range []float64{-1, 0.5, 1 << 50, 1e300} {
		if _, ok := readSum(v); ok {
			t.Errorf("%v is taken for a sum of ours", v)
		}
	}
}

// Over some minutes events are sent in every part of a second alike, each in a second of its own.
func TestPhases(t *testing.T) {
	parts := make([]int, 9)
	now := time.Unix(first, 0)
	for i := range 900 {
		at := next(now)
		if slotOf(at) != first+int64(i)+1 {
			t.Fatalf("after %v comes %v", now, at)
		}
		parts[at.Nanosecond()/100_000_000]++
		now = at
	}
	for i, n := range parts {
		if n < 95 || n > 105 {
			t.Errorf("%d of 900 are in tenth %d, want some 100: %v", n, i, parts)
		}
	}
}

// A clock that is set: what was under way is nobody's loss, and no slot is used twice.
func TestAClockThatIsSet(t *testing.T) {
	s := newSheet("aaa")
	s.forgive(time.Unix(first+100, 0))
	s.windows(0, 60)
	if got := s.verdicts(); got != "" {
		t.Errorf("after the clock was set: %s", got)
	}
	if age := s.age(time.Unix(first+101, 0)); age != time.Second {
		t.Errorf("the age is %v", age)
	}
	if s.add(time.Unix(first+1, 0)) {
		t.Error("a slot is used twice")
	}
	for i := range int64(3 * usedSlots) {
		if !s.add(time.Unix(first+1000+i, 0)) {
			t.Fatalf("slot %d is not free", i)
		}
	}
	if n := len(s.used); n > 2*usedSlots {
		t.Errorf("%d slots are remembered", n)
	}
}
