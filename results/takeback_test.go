package results_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/e2e/testenv"
	"pulseboard/results"
)

// What a clock that was ahead has published goes, and what is right can be written again.
func TestTakeBack(t *testing.T) {
	servers := map[string]string{"miniredis": miniredis.RunT(t).Addr()}
	if testenv.Real() {
		servers["redis-server"] = testenv.StartRedis(t).Addr()
	}
	for name, addr := range servers {
		s := open(t, addr)
		stream := results.Stream{Key: key, RefreshMs: 1000}
		for _, end := range []int64{1000, 2000, 7_200_000, 7_201_000} {
			if _, err := s.Publish(t.Context(), []results.Publication{publication(key, end, true, 1000)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			after time.Duration
			want  int
			tip   int64
		}{{3 * time.Second, 2, 2000}, {3 * time.Second, 0, 2000}, {0, 2, 0}} {
			n, err := s.TakeBack(t.Context(), stream, time.UnixMilli(0).Add(c.after))
			if err != nil || n != c.want {
				t.Errorf("%s: %d taken back, %v; want %d", name, n, err, c.want)
			}
			tips, err := s.Newest(t.Context(), []results.Stream{stream})
			if err != nil || tips[0].WindowEnd != c.tip {
				t.Errorf("%s: the newest is %d, %v; want %d", name, tips[0].WindowEnd, err, c.tip)
			}
		}
		if out, err := s.Publish(t.Context(), []results.Publication{publication(key, 1000, true, 1000)}); err != nil || out.Accepted != 1 {
			t.Errorf("%s: what is right: %+v, %v", name, out, err)
		}
	}
}

// Of a clock that was set forward and back, everything since the first step is in doubt; of a step forward
// that nobody takes back, nothing is.
func TestStepsOfAClock(t *testing.T) {
	s := open(t, miniredis.RunT(t).Addr())
	at := time.Now().UnixMilli()
	for _, c := range []struct {
		what string
		note results.Step
		want results.Step
	}{
		{"forward", results.Step{Since: at}, results.Step{Since: at}},
		{"further", results.Step{Since: at + 5000}, results.Step{Since: at}},
		{"back", results.Step{Since: at + 10_000, Back: true}, results.Step{Since: at, Back: true}},
		{"back once more, before anything was taken back", results.Step{Since: at + 7_200_000, Back: true}, results.Step{Since: at, Back: true}},
		{"forward before anything was taken back", results.Step{Since: at - 1000}, results.Step{Since: at - 1000, Back: true}},
		{what: "taken back"},
		{"after a night", results.Step{Since: at}, results.Step{Since: at}},
		{"hours later, back", results.Step{Since: at + 7_200_000, Back: true}, results.Step{Since: at + 7_200_000, Back: true}},
	} {
		var err error
		if c.note.Since == 0 {
			err = s.ForgetStep(t.Context())
		} else {
			err = s.NoteStep(t.Context(), c.note)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.LastStep(t.Context()); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.what, got, err, c.want)
		}
	}
}

// Readers are told of what was taken back, also by a start before this one.
func TestReadersAreToldWhatWasTakenBack(t *testing.T) {
	s := open(t, miniredis.RunT(t).Addr())
	const hour = int64(3_600_000)
	ids := make(map[string]bool)
	for _, c := range []struct{ note, want results.TakenBack }{
		{results.TakenBack{Since: 10 * hour, Until: 10*hour + 5000}, results.TakenBack{Since: 10 * hour, Until: 10*hour + 5000}},
		{results.TakenBack{Since: 10*hour + 8000, Until: 10*hour + 9000}, results.TakenBack{Since: 10 * hour, Until: 10*hour + 9000}},
		{results.TakenBack{Since: 12 * hour, Until: 12*hour + 1000}, results.TakenBack{Since: 12 * hour, Until: 12*hour + 1000}},
	} {
		if err := s.NoteTakenBack(t.Context(), c.note); err != nil {
			t.Fatal(err)
		}
		now, got, err := s.Horizon(t.Context())
		if err != nil || got.Since != c.want.Since || got.Until != c.want.Until || ids[got.ID] || time.Since(now).Abs() > time.Minute {
			t.Errorf("%+v: %+v, %v; want %+v and another id", c.note, got, err, c.want)
		}
		ids[got.ID] = true
		if got.Has(c.want.Since) || !got.Has(c.want.Since+1) || !got.Has(c.want.Until) || got.Has(c.want.Until+1) {
			t.Errorf("%+v has other ends", got)
		}
	}
}
