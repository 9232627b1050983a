package load

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pulseboard/wire"
)

// said is a message to a client, in a short form:
//
//	u 0:5 1:5 +2    an update of widgets 0 and 1 whose windows end at 5 s, skipped 2
//	s 0: 3 4 5      a snapshot of widget 0 with these ends; S = reset; … at its end = more to come
//	w               a welcome: the connection is new
//	d               a dashboard message whose widgets are other ones
func say(t *testing.T, a *account, l *layout, text string) {
	t.Helper()
	words := strings.Fields(text)
	seconds := func(s string) int64 {
		var v float64
		if _, err := fmt.Sscan(s, &v); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return int64(v * 1000)
	}
	switch words[0] {
	case "w":
		a.adopt(l, true)
	case "d":
		a.adopt(&layout{widgets: slices.Clone(l.widgets)}, false)
	case "u":
		var results []wire.Received
		skipped := 0
		for _, w := range words[1:] {
			if s, ok := strings.CutPrefix(w, "+"); ok {
				skipped = int(seconds(s) / 1000)
				continue
			}
			index, end, _ := strings.Cut(w, ":")
			results = append(results, wire.Received{Index: int(seconds(index) / 1000), End: seconds(end), Newest: wire.NoTime})
		}
		a.update(results, skipped)
	case "s", "S":
		index := int(seconds(strings.TrimSuffix(words[1], ":")) / 1000)
		var points []wire.Received
		more := words[len(words)-1] == "…"
		for _, w := range words[2:] {
			if w == "…" {
				break
			}
			points = append(points, wire.Received{End: seconds(w), Newest: wire.NoTime})
		}
		a.snapshot(index, words[0] == "S", more, points)
	default:
		t.Fatalf("%q is nothing that a server says", text)
	}
}

// Two widgets, one second each. The pipeline published the ends 1 to 10 of both,
// unless the case says that some were not.
func TestAccount(t *testing.T) {
	const first = "w; S 0: 1 2 3; S 1: 1 2 3; "
	for name, c := range map[string]struct {
		said        string
		unpublished []int64 // Of widget 0.
		cut         int64   // 0 = 6 s.
		gone        bool    // The connection did not last.
		want        Delivery
	}{
		"all came": {
			said: first + "u 0:4 1:4; u 0:5 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6},
		},
		"in two frames": {
			said: first + "u 0:4; u 1:4; u 0:5; u 1:5; u 0:6; u 1:6", want: Delivery{Expected: 6, Delivered: 6},
		},
		"the first snapshots in parts": {
			said: "w; S 0: 1 …; s 0: 2 3; S 1: 1 2 …; s 1: 3; u 0:4 1:4; u 0:5 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6},
		},
		"all points anew, in parts": {
			said: first + "u 0:4 1:4; w; S 0: 1 2 …; s 0: 3 4 …; s 0: 5; s 1:; u 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6, InSnapshots: 1},
		},
		"lost in the middle of the first one, and begun anew": {
			said: "w; S 0: 1 2 …; w; S 0: 1 2 …; s 0: 3; S 1: 1 2 3; u 0:4 1:4; u 0:5 1:5; u 0:6 1:6", want: Delivery{Expected: 7, Delivered: 7, InSnapshots: 1},
		},
		"a part again": {
			said: first + "u 0:4 1:4; s 0: 5 …; s 0: 5; u 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6, InSnapshots: 1, Duplicate: 1},
		},
		"what comes after the cut does not count": {
			said: first + "u 0:4 1:4; u 0:5 1:5; u 0:6 1:6; u 0:7 1:7; u 0:7", want: Delivery{Expected: 6, Delivered: 6},
		},
		"one is passed over": {
			said: first + "u 0:4 1:4; u 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 5, Missing: 1},
		},
		"the last one does not come": {
			said: first + "u 0:4 1:4; u 0:5 1:5; u 0:6", want: Delivery{Expected: 6, Delivered: 5, Missing: 1},
		},
		"nothing comes after the snapshots": {
			said: first, want: Delivery{Expected: 6, Missing: 6},
		},
		"the connection was lost": {
			said: first + "u 0:4 1:4", gone: true, want: Delivery{Expected: 2, Delivered: 2},
		},
		"one comes twice": {
			said: first + "u 0:4 1:4; u 0:4; u 0:5 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6, Duplicate: 1},
		},
		"one that the snapshot had comes again": {
			said: first + "u 0:3; u 0:4 1:4; u 0:5 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6, Duplicate: 1},
		},
		"two change places": {
			said: first + "u 0:5 1:4; u 0:4 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6, Reordered: 1},
		},
		"a late one fills a part of a gap": {
			said: first + "u 1:4; u 1:5; u 0:6 1:6; u 0:5", want: Delivery{Expected: 6, Delivered: 5, Missing: 1, Reordered: 1},
		},
		"and comes twice": {
			said: first + "u 1:4; u 1:5; u 0:6 1:6; u 0:5; u 0:5", want: Delivery{Expected: 6, Delivered: 5, Missing: 1, Reordered: 1, Duplicate: 1},
		},
		"a slow client is left out, and told": {
			said: first + "u 0:6 1:6 +4", want: Delivery{Expected: 6, Delivered: 2, LeftOut: 4},
		},
		"it is told of less than it misses": {
			said: first + "u 0:6 1:6 +3", want: Delivery{Expected: 6, Delivered: 2, LeftOut: 3, Missing: 1},
		},
		"a chart gets the points in between": {
			said: first + "s 0: 4 5; s 1: 4 5; u 0:6 1:6 +4", want: Delivery{Expected: 6, Delivered: 6, InSnapshots: 4},
		},
		"skipped covers no gap beside what came in the snapshots": {
			said: first + "s 0: 4; s 1: 4 5; u 0:6 1:6 +3", want: Delivery{Expected: 6, Delivered: 5, InSnapshots: 3, Missing: 1},
		},
		"skipped covers gaps of its own frame only": {
			said: first + "u 0:5 1:4; u 0:6 1:5 +1; u 1:6", want: Delivery{Expected: 6, Delivered: 5, Missing: 1},
		},
		"a gauge is left out while a chart gets its points": {
			said: first + "s 0: 4 5; u 0:6 1:6 +4", want: Delivery{Expected: 6, Delivered: 4, InSnapshots: 2, LeftOut: 2},
		},
		"points of a snapshot out of order": {
			said: first + "s 0: 5 4; s 1: 4 5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 5, InSnapshots: 3, Missing: 1, Reordered: 1},
		},
		"resumed with the points in between": {
			said: first + "u 0:4 1:4; w; s 0: 5; s 1: 5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6, InSnapshots: 2},
		},
		"resumed with a gap": {
			said: first + "w; s 0: 5; s 1: 4 5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 5, InSnapshots: 3, Missing: 1},
		},
		"resumed with one again": {
			said: first + "u 0:4 1:4; w; s 0: 4 5; s 1: 5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6, InSnapshots: 2, Duplicate: 1},
		},
		"resumed from the beginning": {
			said: first + "u 0:4 1:4; w; S 0: 1 2 3 4 5; S 1: 5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6, InSnapshots: 2},
		},
		"the pipeline left one out": {
			said: first + "u 0:4 1:4; u 1:5; u 0:6 1:6", unpublished: []int64{5}, want: Delivery{Expected: 5, Delivered: 5},
		},
		"a slow client, and one that was not published": {
			said: first + "u 0:6 1:6 +3", unpublished: []int64{5}, want: Delivery{Expected: 5, Delivered: 2, LeftOut: 3},
		},
		"empty snapshots": {
			said: "w; S 0:; S 1:; u 0:4 1:5; u 0:5 1:6; u 0:6", want: Delivery{Expected: 5, Delivered: 5},
		},
		"widgets stay when the dashboard is edited": {
			said: first + "u 0:4 1:4; d; u 0:5 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 6},
		},
		"and what was missing before still is": {
			said: first + "u 0:5 1:4; d; u 1:5; u 0:6 1:6", want: Delivery{Expected: 6, Delivered: 5, Missing: 1},
		},
		"an end off the grid": {
			said: first + "u 0:4 1:4.5; u 0:5 1:4; u 0:6 1:5; u 1:6", want: Delivery{Expected: 6, Delivered: 6, OffGrid: 1},
		},
		"a widget that nobody told of": {
			said: first + "u 0:4 1:4 2:4; u 0:5 1:5; u 0:6 1:6; s 7: 1 2", want: Delivery{Expected: 6, Delivered: 6, Unknown: 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := &layout{widgets: []widget{{"a", "x", &stream{refreshMs: 1000}}, {"b", "y", &stream{refreshMs: 1000}}}}
			for end := int64(1); end <= 10; end++ {
				l.widgets[1].stream.mark(end * 1000)
				if !slices.Contains(c.unpublished, end) {
					l.widgets[0].stream.mark(end * 1000)
				}
			}
			a := account{cut: 6000}
			if c.cut != 0 {
				a.cut = c.cut
			}
			for s := range strings.SplitSeq(c.said, ";") {
				if s = strings.TrimSpace(s); s != "" {
					say(t, &a, l, s)
				}
			}
			a.addUp(!c.gone)
			if a.totals != c.want {
				t.Errorf("after %q:\n got %+v\nwant %+v", c.said, a.totals, c.want)
			}
		})
	}
}

// A widget with a delay is due later: what is due after the cut is not owed.
func TestAccountOfADelay(t *testing.T) {
	st := &stream{refreshMs: 1000, delayMs: 2000}
	l := &layout{widgets: []widget{{"a", "x", st}}}
	a := account{cut: 6000}
	say(t, &a, l, "w")
	say(t, &a, l, "S 0: 1 2")
	say(t, &a, l, "u 0:3")
	if due, _ := a.due(); due != 6000 {
		t.Errorf("the next result is due at %d, want 6000", due)
	}
	st.mark(4000)
	st.mark(5000) // Due at 7 s.
	a.addUp(true)
	if want := (Delivery{Expected: 2, Delivered: 1, Missing: 1}); a.totals != want {
		t.Errorf("%+v, want %+v", a.totals, want)
	}
}

// Counting published ends agrees with counting them one by one.
func TestStreamAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		st := &stream{refreshMs: []int64{1, 250, 1000}[r.IntN(3)]}
		st.base = st.refreshMs * r.Int64N(1000)
		there := map[int64]bool{}
		for range r.IntN(300) {
			end := st.base + st.refreshMs*(r.Int64N(400)-50)
			if st.mark(end) != (end >= st.base) {
				t.Fatalf("mark(%d) with the base %d", end, st.base)
			}
			there[end] = end >= st.base
		}
		for range 50 {
			after, upto := st.base+r.Int64N(400*st.refreshMs)-20*st.refreshMs, st.base+r.Int64N(500*st.refreshMs)-20*st.refreshMs
			var want, grid int64
			for end := floor(after, st.refreshMs)*st.refreshMs + st.refreshMs; end <= upto; end += st.refreshMs {
				grid++
				if there[end] {
					want++
				}
			}
			if got := st.count(after, upto); got != want {
				t.Fatalf("count(%d, %d) is %d, want %d", after, upto, got, want)
			}
			if got := st.gaps(after, upto); got != grid-want {
				t.Fatalf("gaps(%d, %d) is %d, want %d", after, upto, got, grid-want)
			}
		}
		st.freeze()
		next := st.base + 500*st.refreshMs
		if st.mark(next) || st.count(next-1, next) != 0 {
			t.Fatal("a frozen stream takes more")
		}
	}
}
