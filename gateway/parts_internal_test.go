package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pulseboard/metric"
)

// told1 is what an update says, "index=end" each.
func told1(t *testing.T, s *scratch) string {
	t.Helper()
	var m struct {
		Type    string  `json:"type"`
		Updates [][]any `json:"updates"`
		More    bool    `json:"more"`
	}
	if err := json.Unmarshal(s.text, &m); err != nil || m.Type != "update" {
		t.Fatalf("%s: %v", s.text, err)
	}
	parts := make([]string, 0, len(m.Updates))
	for _, u := range m.Updates {
		parts = append(parts, fmt.Sprintf("%v=%.0f", u[0], u[1]))
	}
	if m.More {
		parts = append(parts, "more")
	}
	return strings.Join(parts, " ")
}

// A client that reads slowly, on a dashboard whose updates fit no frame: the
// last widgets have their turn, however often the first ones have newer points.
func TestLastWidgetsHaveTheirTurn(t *testing.T) {
	l := &layout{}
	publish := func(i int, end int64) {
		value := float64(end)
		l.widgets[i].feed.append(&metric.Result{
			WindowStart: end - 1000, WindowEnd: end, Due: []int64{1000}, Complete: true, SeriesVersion: "v", Series: []metric.SeriesValue{{Value: &value}},
		}, false)
	}
	for i := range 3 {
		sp := spec{id: fmt.Sprint("w", i), key: fmt.Sprint("k", i), refreshMs: 1000, query: metric.Query{WindowSeconds: 1}}
		l.widgets = append(l.widgets, widget{sp, newFeed(sp, 1000, &horizon{hidden: counter()})})
		l.widgets[i].feed.loaded = true
		publish(i, 1000)
	}
	var tl teller
	tl.adopt(l, nil, nil)
	s := &scratch{full: 256}
	for s.reset(); tl.snapshot(s) || tl.tellState(s); s.reset() {
	}
	s.full = 1 // An update holds one widget.
	for i := range 3 {
		publish(i, 2000)
	}
	said := make([]string, 0, 5)
	for end := int64(3000); len(said) < cap(said); end += 1000 {
		if s.reset(); !tl.update(s, time.UnixMilli(end)) {
			t.Fatalf("nothing follows %v", said)
		}
		said = append(said, told1(t, s))
		publish(0, end) // While that is written; what a gauge misses is skipped.
	}
	if got, want := strings.Join(said, "; "), "0=2000 more; 1=2000 more; 2=2000; 0=5000; 0=6000"; got != want {
		t.Errorf("said %s, want %s", got, want)
	}
}

// Keys in pieces are the keys, whatever is in them.
func TestKeysInPieces(t *testing.T) {
	keys := []string{"m:sum:1s", strings.Repeat("é", 300), strings.Repeat("\"<\\", 200), "short", strings.Repeat("日", 99), ""}
	l := &layout{}
	for _, key := range keys {
		l.widgets = append(l.widgets, widget{spec: spec{id: "w", key: key}})
	}
	for _, full := range []int{40, 100, 101, 102, 103, 250, 5000} {
		got := make([]string, len(keys))
		text, at := appendDashboard(nil, l, full)
		for frames := 1; ; frames++ {
			var m struct {
				Widgets []struct {
					Index int    `json:"index"`
					Key   string `json:"metric_key"`
				} `json:"widgets"`
				More bool `json:"more"`
			}
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			for _, w := range m.Widgets {
				got[w.Index] += w.Key
			}
			if frames > 2000 || m.More != (at.widget < len(keys)) {
				t.Fatalf("%d frames, more %t at %+v", frames, m.More, at)
			}
			if !m.More {
				break
			}
			text, at = appendWidgetsMessage(text[:0], l, at, full)
		}
		if fmt.Sprint(got) != fmt.Sprint(keys) {
			t.Errorf("frames of %d bytes: the keys are %q, want %q", full, got, keys)
		}
	}
}
