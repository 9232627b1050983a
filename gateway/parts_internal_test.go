package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pulseboard/wire"
)

// told1 is what an update says, "index=end" each.
func updateText(t *testing.T, s *scratch) string {
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
		l.widgets[i].feed.append(&wire.Result{
			WindowStart: end - 1000, WindowEnd: end, Due: []int64{1000}, Complete: true, SeriesVersion: "v", Series: []wire.SeriesValue{{Value: &value}},
		}, false)
	}
	for i := range 3 {
		sp := wire.WidgetView{ID: fmt.Sprint("w", i), Key: fmt.Sprint("k", i), RefreshMs: 1000, WindowMs: 1000}
		l.widgets = append(l.widgets, widget{sp, newFeed(&sp, 1000, &horizon{hidden: counter()})})
		l.widgets[i].feed.loaded = true
		publish(i, 1000)
	}
	var tl deltaEncoder
	tl.adopt(l, nil, nil)
	s := &scratch{full: 256}
	for s.reset(); tl.snapshot(s) || tl.changedState(s); s.reset() {
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
		said = append(said, updateText(t, s))
		publish(0, end) // While that is written; what a gauge misses is skipped.
	}
	if got, want := strings.Join(said, "; "), "0=2000 more; 1=2000 more; 2=2000; 0=5000; 0=6000"; got != want {
		t.Errorf("said %s, want %s", got, want)
	}
}
