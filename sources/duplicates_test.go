package sources

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// idLog is written as "minute.second id" per record, and read back as the offsets whose events count.
type idLog struct {
	t *testing.T
	*fakeLog
}

const idLogBegin = base - 10*minute

// write appends one batch.
func (l *idLog) write(records ...string) {
	l.t.Helper()
	var rs []fakeRecord
	for _, text := range records {
		var m, s int64
		when, id, _ := strings.Cut(text, " ")
		if _, err := fmt.Sscanf(when, "%d.%d", &m, &s); err != nil {
			l.t.Fatal(err)
		}
		rs = append(rs, fakeRecord{name: "m", at: idLogBegin + m*minute + s*1000, id: id})
	}
	l.append(plain, -1, rs...)
}

// counted reads from an offset to the end and returns the offsets of the records that count.
func (l *idLog) counted(from int64) string {
	l.t.Helper()
	o := testOptions()
	o.DedupeMs = 2 * minute
	f, stop := startFetcher(l.t, l.fakeLog, o, Offset{Next: from, From: -1}, 100)
	defer stop()
	var offsets []string
	for next := from; next < l.end(); {
		a := <-f.queue
		next = a.next
		for _, rec := range a.records {
			if len(rec.Events) > 0 {
				offsets = append(offsets, fmt.Sprint(rec.Offset))
			} else if rec.Time == 0 {
				l.t.Errorf("the duplicate at offset %d has lost its timestamp", rec.Offset)
			}
		}
	}
	return strings.Join(offsets, " ")
}

func TestDuplicatesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &idLog{t, newFakeLog()}
		before := counted(t, duplicates)
		l.write("0.00 a", "0.01 b", "0.02 a", "0.03", "0.03") // In one batch; without an id none is a duplicate.
		l.write("0.10 b", "0.11 c")                           // Of an earlier batch.
		l.write("2.10 a", "2.11 b")                           // a beyond two minutes, b again within two of its duplicate at 0.10 (2:01): forgotten.
		l.write("2.12 c", "1.00 a")                           // c after 2:01; a late record with a known id.
		if got, want := l.counted(0), "0 1 3 4 6 7 8 9"; got != want {
			t.Errorf("counted %q, want %q", got, want)
		}
		if n := counted(t, duplicates) - before; n != 3 {
			t.Errorf("%v duplicates were counted, want 3", n)
		}
		// Ids are those of a partition, so of a metric.
		other := &idLog{t, newFakeLog()}
		other.write("0.20 a")
		if got := other.counted(0); got != "0" {
			t.Errorf("counted %q in the other partition, want 0", got)
		}
	})
}

// A reader that begins in the middle knows the ids before its beginning: what
// counts is the same wherever a replay begins.
func TestDuplicatesAreKnownAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &idLog{t, newFakeLog()}
		for m := range 8 {
			l.write(fmt.Sprintf("%d.00 a%d", m, m), fmt.Sprintf("%d.10 b%d", m, m%3), fmt.Sprintf("%d.20 a%d", m, m), fmt.Sprintf("%d.15", m), fmt.Sprintf("%d.59 b%d", m, m%2))
		}
		whole, n := strings.Fields(l.counted(0)), int(l.end())
		if len(whole) == n || len(whole) < n/3 {
			t.Fatalf("%d of %d count: the case is too easy", len(whole), n)
		}
		for _, perFetch := range []int{0, 1} {
			l.perFetch = perFetch
			for from := range n {
				var want []string
				for _, o := range whole {
					var offset int
					if _, err := fmt.Sscan(o, &offset); err == nil && offset >= from {
						want = append(want, o)
					}
				}
				if got := l.counted(int64(from)); got != strings.Join(want, " ") {
					t.Errorf("from offset %d counted %q, want %q", from, got, strings.Join(want, " "))
				}
			}
		}
	})
}

// What is aborted is no time, nor is its marker: an id is not forgotten the sooner for it,
// wherever a reader begins.
func TestAnAbortForgetsNoIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &idLog{t, newFakeLog()}
		l.write("0.00 a")
		l.append(transactional, 5, fakeRecord{name: "m", at: idLogBegin + 3*minute})
		l.mark(5, idLogBegin+3*minute, 0)
		l.write("0.10 b", "1.50 a", "1.51 b", "1.52 c")
		for from, want := range []string{"0 3 6", "3 6", "3 6", "3 6", "6", "6", "6"} {
			if got := l.counted(int64(from)); got != want {
				t.Errorf("from offset %d counted %q, want %s", from, got, want)
			}
		}
	})
}

// Ids that cannot be read back are tried again: without them a duplicate would count.
func TestReadingIDsBackIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for failing := range 6 {
			l := &idLog{t, newFakeLog()}
			l.write("0.00 a", "0.10 b")
			l.write("0.20 a")
			n := 0
			l.fail = func(what string) error {
				if what == "forget" {
					return nil
				}
				if n++; n == failing {
					return errors.New("it does not answer")
				}
				return nil
			}
			if got := l.counted(2); got != "" || n < failing {
				t.Errorf("request %d fails, and %q counts", failing, got)
			}
		}
	})
}
