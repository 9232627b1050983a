package ingest

import (
	"fmt"
	"strings"
	"testing"

	"pulseboard/metric"
)

// What is looked at is bounded in rate, what is kept in number and size; the same refusal is one entry.
func TestRecentIsBounded(t *testing.T) {
	var r recent
	looked := 0
	for now := int64(0); now < 10_000; now++ {
		if r.taken.wants(now) {
			looked++
			tags := make(metric.Tags, 60)
			for i := range tags {
				tags[i] = metric.Tag{Key: fmt.Sprint("k", i), Value: strings.Repeat("ö", 500)}
			}
			r.taken.add(r.event(now, "json", &metric.Event{Metric: "m", Value: float64(now), Tags: tags}))
		}
		r.refuse(now, "json", "malformed", fmt.Sprint("fault ", now/1000, strings.Repeat("x", 1000)))
	}
	if looked != 10_000/recentEvery {
		t.Errorf("%d were looked at", looked)
	}
	all := r.taken.newestFirst()
	if len(all) != recentKept || all[0].Time != 9900 || all[recentKept-1].Time != 5000 || len(all[0].Tags) != recentTags || len(all[0].Tags[0].Value) > recentText+len("…") {
		t.Errorf("%d, %+v", len(all), all[0])
	}
	all = r.refused.newestFirst()
	if len(all) != 10 || all[0].Times != 10 || all[0].Time != 9900 || len(all[0].Detail) > recentText+len("…") {
		t.Errorf("%d, %+v", len(all), all[0])
	}
	if !r.taken.wants(-1000) { // The clock was set back.
		t.Error("nothing is looked at until the clock is where it was")
	}
}

// Most requests cost no allocation here, and no lock.
func TestRecentCostsNothing(t *testing.T) {
	var r recent
	r.taken.wants(1000)
	r.refused.wants(1000)
	if n := testing.AllocsPerRun(100, func() {
		if r.taken.wants(1001) {
			t.Error("too soon")
		}
		r.refuse(1001, "json", "c", "d")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
