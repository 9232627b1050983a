package gateway_test

import (
	"testing"
	"time"

	"pulseboard/gateway"
)

// Only the largest series leave the pipeline; that there are others, and how
// many, is told with each snapshot and update, and not when there are none. So is how far off values may be.
func TestTruncatedIsTold(t *testing.T) {
	w := open(t, func(c *gateway.Config) { c.Slice = time.Hour }) // Nothing is stale, however busy the machine is.
	w.show(1, groupKey)
	t0 := now() - 10_000
	publish := func(end int64, truncated int, values ...float64) {
		p := w.result(groupKey, end, values...)
		p.Result.Truncated, p.Result.Error = truncated, float64(truncated)/1024
		w.publish(p)
	}
	publish(t0, 0, 1, 2)
	publish(t0+1000, 900, 1, 2)
	b := w.watch(hello)
	if s := b.next("snapshot"); s.Truncated != 900 || float32(s.Error) != 900./1024 || len(s.Points) != 2 {
		t.Errorf("snapshot %+v", s)
	}
	for i, c := range []struct {
		truncated int
		value     float64
	}{{901, 3}, {902, 3}, {0, 3}, {7, 4}} {
		end := t0 + 2000 + 1000*int64(i)
		publish(end, c.truncated, c.value, c.value)
		if u := b.point(0); u.end != end || u.extra.Truncated != c.truncated || float32(u.extra.Error) != float32(c.truncated)/1024 {
			t.Errorf("update %+v, want %d series left out", u, c.truncated)
		}
	}
	again := w.watch(hello)
	if s := again.next("snapshot"); s.Truncated != 7 {
		t.Errorf("snapshot %+v", s)
	}
	path := "/dashboards/" + dashboard + "/widgets/w:" + groupKey + "/snapshot"
	get := func() [2]any {
		t.Helper()
		_, body := w.get(path)
		return [2]any{body["truncated"], body["error"]}
	}
	if got := get(); got != [2]any{7., 7. / 1024} {
		t.Errorf("over HTTP %v are truncated, off by", got)
	}
	publish(t0+7000, 0, 4, 4)
	again.point(0)
	if got := get(); got != [2]any{} {
		t.Errorf("over HTTP %v are truncated of none, off by", got)
	}
}
