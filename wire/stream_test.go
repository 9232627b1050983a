package wire

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pulseboard/metric"
)

// Each example is what the types of its message say, and what is written of them.
func TestMessagesAreTheirTypes(t *testing.T) {
	files, err := filepath.Glob("testdata/stream/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d golden messages: %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		text := Golden(t, "stream/"+name)
		m, err := ServerMessage([]byte(text))
		if m == nil { // Of a client.
			hello := HelloMessage{}
			m, err = &hello, json.Unmarshal([]byte(text), &hello)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := json.Marshal(m)
		if err != nil || string(back) != text {
			t.Errorf("%s becomes %s, %v; want %s", name, back, err, text)
		}
	}
}

// sent is the points that a snapshot was made of.
func (m *SnapshotMessage) sent() []Point {
	list := &SeriesList{Version: m.SeriesVersion}
	for _, info := range m.Series {
		list.Tags = append(list.Tags, info.Tags)
	}
	points := make([]Point, 0, len(m.Points))
	for _, p := range m.Points {
		points = append(points, Point{End: p.WindowEnd, Newest: timeOf(p.NewestEvent), List: list, Values: valuesOf(p.Values), Truncated: int32(m.Truncated), Error: float32(m.Error)})
	}
	return points
}

func timeOf(at *int64) int64 {
	if at == nil {
		return NoTime
	}
	return *at
}

func valuesOf(values []*Value) Values {
	series := make([]SeriesValue, len(values))
	for i, v := range values {
		switch {
		case v == nil:
		case v.Bins != nil:
			series[i].Bins = v.Bins
		default:
			series[i].Value = &v.Number
		}
	}
	return newValues(series)
}

// encodeMessage writes a message that was read, with rest, which follows it in the next, beyond full.
func encodeMessage(t *testing.T, m, rest any, full int) string {
	t.Helper()
	var b []byte
	switch m := m.(type) {
	case *WelcomeMessage:
		b, _ = AppendWelcome(nil, m, full)
	case *DashboardMessage:
		b, _ = AppendDashboard(nil, m.Version, m.Widgets, full)
	case *SnapshotMessage:
		s := Snapshot{Index: m.Index, State: m.State, Detail: m.Detail, Reset: m.Reset, Points: m.sent(), CoveredSince: timeOf(m.CoveredSince), Full: full}
		if r, ok := rest.(*SnapshotMessage); ok {
			for _, p := range r.sent() {
				p.List = s.Points[0].List
				s.Points = append(s.Points, p)
			}
		}
		b, _, _ = s.Append(nil, "")
	case *SeriesMessage:
		l := &SeriesList{Version: m.SeriesVersion, Tags: make([]metric.Tags, m.From)}
		for _, info := range m.Series {
			l.Tags = append(l.Tags, info.Tags)
		}
		if r, ok := rest.(*SeriesMessage); ok {
			l.Tags = append(l.Tags, r.Series[0].Tags)
		}
		b, _ = AppendSeries(nil, m.Index, l, m.From, full)
	case *UpdateMessage:
		entries := make([]Entry, 0, len(m.Updates))
		for _, u := range m.Updates {
			e := Entry{Index: u.Index, Unchanged: u.Values == nil, WindowMs: 1000}
			e.Point = Point{
				End: u.WindowEnd, Start: u.WindowEnd - 1000, Newest: timeOf(u.NewestEvent), List: &SeriesList{Version: u.SeriesVersion}, Values: valuesOf(u.Values), Complete: true,
			}
			if u.Extra != nil {
				e.Point.Start, e.Point.Complete = u.Extra.Start, u.Extra.Complete
				e.Point.Truncated, e.Point.Error = int32(u.Extra.Truncated), float32(u.Extra.Error)
			}
			entries = append(entries, e)
		}
		b, _ = AppendUpdate(nil, m.ServerTime, entries, m.Skipped, full)
	case *StateMessage:
		b = AppendState(nil, m.Index, m.State, m.Detail)
	case *HeartbeatMessage:
		b = AppendHeartbeat(nil, m.ServerTime)
	case *CloseMessage:
		b = AppendClose(nil, m.Code, m.Reason, m.ReconnectAfterMs)
	default:
		t.Fatalf("nothing writes a %T", m)
	}
	return string(b)
}

// What the server writes is the examples, byte for byte.
func TestMessagesAreWrittenAsTheExamples(t *testing.T) {
	read := func(name string) any {
		t.Helper()
		m, err := ServerMessage([]byte(Golden(t, "stream/"+name)))
		if err != nil || m == nil {
			t.Fatalf("%s: %v, %v", name, m, err)
		}
		return m
	}
	for _, name := range []string{
		"welcome", "dashboard", "snapshot", "snapshot-resume", "snapshot-waiting", "snapshot-histogram", "series", "series-rest",
		"update", "update-unchanged", "update-histogram", "state", "state-limited", "heartbeat", "close",
	} {
		if got, want := encodeMessage(t, read(name), nil, MaxFrame), Golden(t, "stream/"+name); got != want {
			t.Errorf("%s is written as\n%s, want\n%s", name, got, want)
		}
	}
	// A message in parts is the example where a frame is full at some length.
	for part, rest := range map[string]string{"snapshot-part": "snapshot-rest", "series-part": "series-rest"} {
		want, found := Golden(t, "stream/"+part), false
		for full := range len(want) {
			found = found || encodeMessage(t, read(part), read(rest), full) == want
		}
		if !found {
			t.Errorf("%s is written at no length", part)
		}
	}
}

// Keys in pieces are the keys, whatever is in them.
func TestKeysInPieces(t *testing.T) {
	keys := []string{"m:sum:1s", strings.Repeat("é", 300), strings.Repeat("\"<\\", 200), "short", strings.Repeat("日", 99), ""}
	var widgets []StreamWidget
	for i, key := range keys {
		widgets = append(widgets, StreamWidget{Index: i, WidgetID: "w", MetricKey: key})
	}
	for _, full := range []int{40, 100, 101, 102, 103, 250, 5000} {
		got := make([]string, len(keys))
		text, at := AppendDashboard(nil, 1, widgets, full)
		for frames := 1; ; frames++ {
			var m WidgetsMessage
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			for _, w := range m.Widgets {
				got[w.Index] += w.MetricKey
			}
			if frames > 2000 || m.More != (at.Widget < len(keys)) {
				t.Fatalf("%d frames, more %t at %+v", frames, m.More, at)
			}
			if !m.More {
				break
			}
			text, at = AppendWidgets(text[:0], widgets, at, full)
		}
		if fmt.Sprint(got) != fmt.Sprint(keys) {
			t.Errorf("frames of %d bytes: the keys are %q, want %q", full, got, keys)
		}
	}
}

func BenchmarkAppendUpdate(b *testing.B) {
	for _, n := range []int{0, 20} {
		entries := make([]Entry, 50)
		for i := range entries {
			entries[i] = Entry{Index: i, Point: NewPoint(sample(n), nil, false), WindowMs: 60_000}
		}
		b.Run(fmt.Sprintf("series=%d", max(n, 1)), func(b *testing.B) {
			b.ReportAllocs()
			var text []byte
			for b.Loop() {
				text, _ = AppendUpdate(text[:0], 1763892061150, entries, 0, MaxFrame-MessageEnd)
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for _, n := range []int{0, 20} {
		s := Snapshot{State: StateLive, Reset: true, Full: MaxFrame - MessageEnd}
		first := NewPoint(sample(n), nil, false)
		for range HistoryLength {
			s.Points = append(s.Points, NewPoint(sample(n), first.List, false))
		}
		b.Run(fmt.Sprintf("series=%d", max(n, 1)), func(b *testing.B) {
			b.ReportAllocs()
			var text []byte
			for b.Loop() {
				text, _, _ = s.Append(text[:0], "")
			}
		})
	}
}
