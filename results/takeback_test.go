package results_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/internal/testenv"
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
