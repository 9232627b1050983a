package results_test

import (
	"slices"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/results"
)

func TestNewestAndLatest(t *testing.T) {
	s := open(t, miniredis.RunT(t).Addr())
	if _, err := s.Publish(t.Context(), []results.Publication{publication(key, 1000, true, 1000), publication(key, 2000, true, 1000, 2000), publication(key, 3000, true, 1000)}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Newest(t.Context(), []results.Stream{{Key: key, RefreshMs: 2000}, {Key: "never:sum:1s", RefreshMs: 1000}, {Key: key, RefreshMs: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{2000, 0, 3000} {
		if got[i].WindowEnd != want || (got[i].Result() != nil) != (want != 0) {
			t.Errorf("tip %d is %d: %v; want %d", i, got[i].WindowEnd, got[i].Result(), want)
		}
	}
	if got, err := s.Newest(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("newest of nothing: %v, %v", got, err)
	}
	if r, err := s.Latest(t.Context(), key, 2000); err != nil || r == nil || r.WindowEnd != 2000 {
		t.Errorf("latest %+v, %v", r, err)
	}
	if r, err := s.Latest(t.Context(), "never:sum:1s", 1000); err != nil || r != nil {
		t.Errorf("latest of nothing: %+v, %v", r, err)
	}
}

func TestOneBadEntryHidesNoOther(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m.Addr())
	if _, err := m.XAdd("history:"+key+"@1000", "500-0", []string{"r", "{"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(t.Context(), []results.Publication{publication(key, 1000, true, 1000)}); err != nil {
		t.Fatal(err)
	}
	if got := ends(t, s, key, 1000, 0, 600); !slices.Equal(got, []int64{1000}) {
		t.Errorf("history %v", got)
	}
}

// A history that is no stream is the fault of one key: the others of the same
// round are written and announced.
func TestOneBadHistoryHurtsNoOther(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m.Addr())
	if err := m.Set("history:bad:sum:1s@1000", "text"); err != nil {
		t.Fatal(err)
	}
	out, err := s.Publish(t.Context(), []results.Publication{publication("bad:sum:1s", 1000, true, 1000), publication(key, 1000, true, 1000)})
	if err == nil || out != (results.Outcome{Accepted: 1, Published: 1}) {
		t.Errorf("%+v, %v", out, err)
	}
}
