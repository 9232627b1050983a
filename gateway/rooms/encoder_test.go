package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/e2e/testenv"
	"pulseboard/gateway/feeds"
	"pulseboard/internal/redisconn"
	"pulseboard/limits"
	"pulseboard/results"
	"pulseboard/wire"
)

// ignores is a watcher that only keeps feeds alive.
type ignores struct{}

func (ignores) Changed(bool) {}

// source is real feeds of a Redis in memory.
type source struct {
	t       *testing.T
	results *results.Store
	set     *feeds.Set
}

func newSource(t *testing.T) *source {
	t.Helper()
	store, err := results.Open(t.Context(), redisconn.At(miniredis.RunT(t).Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := &source{t: t, results: store, set: feeds.New(feeds.Config{
		Results: store, Limits: func(context.Context) ([]limits.Report, error) { return nil, nil },
		Slice: time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})}
	t.Cleanup(s.set.Close)
	return s
}

// layout is widgets of so many keys, whose histories were read.
func (s *source) layout(widgets int) *Layout {
	s.t.Helper()
	v := wire.View{}
	for i := range widgets {
		v.Widgets = append(v.Widgets, wire.WidgetView{ID: fmt.Sprint("w", i), Key: fmt.Sprint("k", i), KeyID: fmt.Sprint("id", i), RefreshMs: 1000, WindowMs: 1000})
	}
	l := newLayout(v, s.set.Watch(ignores{}, nil, v.Widgets))
	for i := range l.widgets {
		s.until("a history was read", func() bool { return l.widgets[i].feed.View().Loaded })
	}
	return l
}

// publish makes end the newest of a widget.
func (s *source) publish(l *Layout, i int, end int64) {
	s.t.Helper()
	value := float64(end)
	r := &wire.Result{
		Key: l.widgets[i].Key, WindowStart: end - 1000, WindowEnd: end, PrevEnd: end - 1000, Due: []int64{1000}, Complete: true, Matched: 1,
		SeriesVersion: "v", Series: []wire.SeriesValue{{Value: &value, Count: 1}},
	}
	if _, err := s.results.Publish(s.t.Context(), []results.Publication{{Result: r, Announce: true}}); err != nil {
		s.t.Fatal(err)
	}
	s.until("a result came", func() bool { return l.widgets[i].feed.NewestEnd() == end })
}

func (s *source) until(what string, is func() bool) {
	s.t.Helper()
	testenv.Until(s.t, what, func(context.Context) error {
		if !is() {
			return errors.New("not yet")
		}
		return nil
	})
}

// updateText is what an update says, "index=end" each.
func updateText(t *testing.T, s *Scratch, from int64) string {
	t.Helper()
	var m struct {
		Type    string  `json:"type"`
		Updates [][]any `json:"updates"`
		More    bool    `json:"more"`
	}
	if err := json.Unmarshal(s.Text, &m); err != nil || m.Type != "update" {
		t.Fatalf("%s: %v", s.Text, err)
	}
	parts := make([]string, 0, len(m.Updates))
	for _, u := range m.Updates {
		parts = append(parts, fmt.Sprintf("%v=%.0f", u[0], u[1].(float64)-float64(from)))
	}
	if m.More {
		parts = append(parts, "more")
	}
	return strings.Join(parts, " ")
}

// A client that reads slowly, on a dashboard whose updates fit no frame: the
// last widgets have their turn, however often the first ones have newer points.
func TestLastWidgetsHaveTheirTurn(t *testing.T) {
	src := newSource(t)
	l := src.layout(3)
	from := time.Now().Truncate(time.Second).Add(-time.Minute).UnixMilli()
	for i := range 3 {
		src.publish(l, i, from+1000)
	}
	var e encoder
	e.adopt(l, nil, nil)
	s := &Scratch{Full: 256}
	for s.Reset(); e.snapshot(s) || e.changedState(s); s.Reset() {
	}
	s.Full = 1 // An update holds one widget.
	for i := range 3 {
		src.publish(l, i, from+2000)
	}
	var sent []string
	for end := from + 3000; len(sent) < 5; end += 1000 {
		if s.Reset(); !e.update(s, time.UnixMilli(end)) {
			t.Fatalf("nothing follows %v", sent)
		}
		sent = append(sent, updateText(t, s, from))
		src.publish(l, 0, end) // While that is written; what a gauge misses is skipped.
	}
	if got, want := strings.Join(sent, "; "), "0=2000 more; 1=2000 more; 2=2000; 0=5000; 0=6000"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

// What was taken back goes from all streams that have it, wherever they are, and from no other.
func TestStreamsGoBack(t *testing.T) {
	src := newSource(t)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go src.set.Run(ctx)
	l := src.layout(1)
	// Ends that are ahead by less than what is hidden, so that only the taking back is at work.
	now := time.Now().Truncate(time.Second).UnixMilli()
	for i := int64(-5); i <= 2; i++ {
		src.publish(l, 0, now+i*1000)
	}
	s := &Scratch{Full: 1 << 16}
	snapshot := func(name string, e *encoder, reset bool) {
		t.Helper()
		if s.Reset(); !e.snapshot(s) || !strings.Contains(string(s.Text), fmt.Sprintf(`"reset":%t`, reset)) {
			t.Errorf("%s: the snapshot is %s, want reset %t", name, s.Text, reset)
		}
		if s.Reset(); e.snapshot(s) {
			t.Errorf("%s: a second one: %s", name, s.Text)
		}
	}
	var newest, slow encoder // slow comes back when its newest point is there again.
	for name, e := range map[string]*encoder{"newest": &newest, "slow": &slow} {
		e.adopt(l, nil, nil)
		snapshot(name, e, true)
	}
	generation := l.widgets[0].feed.View().Generation
	if err := src.results.NoteTakenBack(t.Context(), results.TakenBack{ID: "1", Since: now, Until: now + 2000}); err != nil {
		t.Fatal(err)
	}
	src.until("it was taken back, and the history was read again", func() bool {
		v := l.widgets[0].feed.View()
		return v.Generation > generation && v.Loaded && v.Has(now+2000)
	})
	var back, on encoder // Connections that were away meanwhile.
	back.adopt(l, map[string]wire.ResumePoint{"w0": {Key: "id0", WindowEnd: now + 2000}}, nil)
	on.adopt(l, map[string]wire.ResumePoint{"w0": {Key: "id0", WindowEnd: now}}, nil)
	for name, e := range map[string]*encoder{"newest": &newest, "slow": &slow, "back": &back} {
		if s.Reset(); e.update(s, time.Now()) {
			t.Errorf("%s: an update before the snapshot: %s", name, s.Text)
		}
		snapshot(name, e, true)
	}
	snapshot("on", &on, false) // It ended before what was taken back.
}
