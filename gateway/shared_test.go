package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/gateway"
	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/wire"
)

// viewer is a client that keeps what it is told, as a page does, and is strict
// about it.
type viewer struct {
	name    string
	browser *browser
	series  map[int][]string            // By widget: tags of the series list in force.
	before  map[int][]any               // The values at the widget's previous end.
	seen    map[int]map[int64]seenPoint // By widget and end.
	last    map[int]int64               // The newest end of a widget.
	most    map[int]int64               // The newest end that it ever had.
	version map[int]string              // Of series.
	partial map[int][]string            // The parts of a list of series that have come.
	midway  map[int]bool                // The rest of a snapshot is to come.
	widgets []placed
	placing []placed // The parts of a layout that have come.
	resets  map[int]int
	skipped int
}

// placed is a widget as a layout tells of it.
type placed struct {
	id, key, keyID string
	index          int
}

type seenPoint map[string]string // Values by tags.

func newViewer(name string, b *browser) *viewer {
	return &viewer{
		name: name, browser: b, series: map[int][]string{}, before: map[int][]any{}, seen: map[int]map[int64]seenPoint{}, last: map[int]int64{},
		most: map[int]int64{}, version: map[int]string{}, partial: map[int][]string{}, midway: map[int]bool{}, resets: map[int]int{},
	}
}

func tagTexts(m message) []string {
	texts := make([]string, 0, len(m.Series))
	for _, s := range m.Series {
		texts = append(texts, tagText(s.Tags))
	}
	return texts
}

// tagText is fmt.Sprint of tags, which is slow for thousands of them.
func tagText(tags map[string]string) string {
	if len(tags) == 1 {
		for key, value := range tags {
			return "map[" + key + ":" + value + "]"
		}
	}
	return fmt.Sprint(tags)
}

func (v *viewer) keep(index int, end int64, values []any) error {
	if len(values) != len(v.series[index]) {
		return fmt.Errorf("%s: widget %d at %d has %d values for %d series", v.name, index, end, len(values), len(v.series[index]))
	}
	p := seenPoint{}
	for i, tags := range v.series[index] {
		if values[i] != nil {
			p[tags] = fmt.Sprint(values[i])
		}
	}
	if v.seen[index] == nil {
		v.seen[index] = map[int64]seenPoint{}
	}
	if _, twice := v.seen[index][end]; twice {
		return fmt.Errorf("%s: widget %d got %d twice", v.name, index, end)
	}
	v.seen[index][end] = p
	v.last[index] = max(v.last[index], end)
	return nil
}

func (v *viewer) take(m message) error {
	v.skipped += m.Skipped
	switch m.Type {
	case "welcome", "dashboard":
		v.placing = nil
		v.place(m)
	case "widgets":
		v.place(m)
	case "snapshot":
		return v.takeSnapshot(m)
	case "series":
		return v.takeSeries(m)
	case "update":
		for _, u := range m.Updates {
			if err := v.takeUpdate(u); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *viewer) place(m message) {
	for _, w := range m.Widgets {
		if n := len(v.placing); n > 0 && v.placing[n-1].index == w.Index {
			v.placing[n-1].key += w.MetricKey
		} else {
			v.placing = append(v.placing, placed{w.WidgetID, w.MetricKey, w.KeyID, w.Index})
		}
	}
	if !m.More {
		v.widgets = v.placing
	}
}

func (v *viewer) takeSnapshot(m message) error {
	if m.More && m.State != "stale" {
		return fmt.Errorf("%s: a part of a snapshot of widget %d says %s", v.name, m.Index, m.State)
	}
	if m.Reset {
		delete(v.seen, m.Index)
		v.last[m.Index] = 0
		v.resets[m.Index]++
	}
	switch {
	case m.Series != nil:
		v.series[m.Index], v.version[m.Index] = tagTexts(m), m.SeriesVersion
	case v.version[m.Index] != m.SeriesVersion:
		return fmt.Errorf("%s: a snapshot of widget %d is in the order of %s, which was not told", v.name, m.Index, m.SeriesVersion)
	}
	v.before[m.Index], v.midway[m.Index] = nil, m.More
	for _, p := range m.Points {
		if p.end <= v.last[m.Index] {
			return fmt.Errorf("%s: a snapshot of widget %d has %d after %d", v.name, m.Index, p.end, v.last[m.Index])
		}
		if err := v.keep(m.Index, p.end, p.values); err != nil {
			return err
		}
		v.before[m.Index] = p.values
	}
	if v.last[m.Index] < v.most[m.Index] && !m.More {
		return fmt.Errorf("%s: a snapshot of widget %d ends at %d, before %d", v.name, m.Index, v.last[m.Index], v.most[m.Index])
	}
	v.most[m.Index] = max(v.most[m.Index], v.last[m.Index])
	return nil
}

func (v *viewer) takeSeries(m message) error {
	if m.From == 0 {
		v.partial[m.Index] = nil
	}
	if len(v.partial[m.Index]) != m.From {
		return fmt.Errorf("%s: the series of widget %d go on at %d, after %d", v.name, m.Index, m.From, len(v.partial[m.Index]))
	}
	v.partial[m.Index] = append(v.partial[m.Index], tagTexts(m)...)
	if !m.More {
		v.series[m.Index], v.version[m.Index], v.before[m.Index], v.partial[m.Index] = v.partial[m.Index], m.SeriesVersion, nil, nil
	}
	return nil
}

func (v *viewer) takeUpdate(u update) error {
	switch {
	case v.midway[u.index]:
		return fmt.Errorf("%s: an update of widget %d at %d comes before the rest of its snapshot", v.name, u.index, u.end)
	case u.end <= v.last[u.index]:
		return fmt.Errorf("%s: widget %d went back from %d to %d", v.name, u.index, v.last[u.index], u.end)
	case u.version != v.version[u.index]:
		return fmt.Errorf("%s: widget %d at %d is in the order of %s, which was not told", v.name, u.index, u.end, u.version)
	}
	if u.values == nil {
		if v.before[u.index] == nil {
			return fmt.Errorf("%s: widget %d at %d is as before, and nothing was before", v.name, u.index, u.end)
		}
		u.values = v.before[u.index]
	}
	if err := v.keep(u.index, u.end, u.values); err != nil {
		return err
	}
	v.before[u.index] = u.values
	v.most[u.index] = max(v.most[u.index], u.end)
	return nil
}

// Whether a stream is in step with the others or by itself, whatever it asks for
// and whenever it comes: it has every point from its first one on, once, with
// the values that were published; and also where frames are so short that nearly
// everything is in parts.
func TestStreamsInStepAndByThemselves(t *testing.T) {
	for _, c := range []struct{ frame, series int }{{maxFrame, 3}, {1024 + 900, 12}, {1024 + 300, 30}} {
		t.Run(fmt.Sprint("frames of ", c.frame), func(t *testing.T) { streamsInStepAndByThemselves(t, c.frame, c.series) })
	}
}

func streamsInStepAndByThemselves(t *testing.T, frame, most int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	keys := []string{oneKey, groupKey, "m:max:7s by (host)", "m:count:9s|gauge"}
	w := open(t, func(c *gateway.Config) { c.ShortFrames(frame) })
	w.longest = frame
	w.show(1, keys...)
	truth := map[string]map[int64]seenPoint{}
	const rounds = 120
	var wg sync.WaitGroup
	begin := now() - rounds*1000
	last := begin + (rounds-1)*1000
	faults := make(chan error, 100)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for round := range rounds {
		if round%10 == 0 {
			says := []string{hello, hello, `{"type":"hello","max_hz":20}`, hello}[round/10%4]
			talks := round/10%4 == 3
			v := newViewer(fmt.Sprintf("viewer %d (%s, talks %t)", round/10, says, talks), w.watch(says))
			words := rand.New(rand.NewPCG(seed, uint64(round)+2))
			wg.Go(func() {
				said := 0
				for ctx.Err() == nil {
					m, err := v.browser.read(true)
					if err == nil {
						err = v.take(m)
					}
					if err != nil {
						faults <- fmt.Errorf("%s: %w", v.name, err)
						return
					}
					done := 0
					for i := range keys {
						if v.last[i] == last && !v.midway[i] {
							done++
						}
					}
					if done == len(keys) {
						break
					}
					// Not for ever: who asks again before all of it came begins anew.
					if talks && said < 30 && words.IntN(6) == 0 {
						said++
						for _, word := range [][]string{{"pause", "play"}, {"resync"}}[words.IntN(2)] {
							if err := v.browser.ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"`+word+`"}`)); err != nil {
								faults <- err
								return
							}
						}
					}
				}
				for i, text := range keys {
					key, chart, _ := strings.Cut(text, "|")
					first := last
					for end := range v.seen[i] {
						first = min(first, end)
					}
					for end := first; end <= last; end += 1000 {
						// A gauge shows the newest only: what it misses is told as skipped.
						if got, ok := v.seen[i][end]; (ok || chart != "gauge") && fmt.Sprint(got) != fmt.Sprint(truth[key][end]) {
							faults <- fmt.Errorf("%s: %s at %d is %v (%t), published was %v", v.name, key, end, got, ok, truth[key][end])
							return
						}
					}
				}
			})
		}
		end := begin + int64(round)*1000
		var pubs []results.Publication
		for _, text := range keys {
			key, _, _ := strings.Cut(text, "|")
			n := 1
			if strings.Contains(key, " by ") {
				n = 1 + random.IntN(most)
			}
			values := make([]float64, n)
			for i := range values {
				values[i] = float64(random.IntN(3)) // Often as before.
			}
			p := w.result(key, end, values...)
			point := seenPoint{}
			for _, s := range p.Result.Series {
				tags := map[string]string{}
				for _, tag := range s.Tags {
					tags[tag.Key] = tag.Value
				}
				point[fmt.Sprint(tags)] = fmt.Sprint(*s.Value)
			}
			if truth[key] == nil {
				truth[key] = map[int64]seenPoint{}
			}
			truth[key][end] = point
			pubs = append(pubs, p)
		}
		random.Shuffle(len(pubs), func(i, j int) { pubs[i], pubs[j] = pubs[j], pubs[i] })
		// Together or one by one, so that ticks have all widgets or some.
		if cut := random.IntN(len(pubs) + 1); cut < len(pubs) {
			w.publish(pubs[:cut]...)
			pubs = pubs[cut:]
		}
		w.publish(pubs...)
	}
	wg.Wait()
	close(faults)
	for err := range faults {
		t.Error(err)
	}
	if shared := w.counter("pulseboard_gateway_shared_frames_total"); shared == 0 {
		t.Error("no frame was shared")
	} else {
		t.Logf("%v of %v frames were shared", shared, w.counter("pulseboard_gateway_frames_total"))
	}
}

// counter returns a metric without labels.
func (w *world) counter(name string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	w.t.Fatalf("there is no metric %s", name)
	return 0
}

func TestVariablesChooseSeries(t *testing.T) {
	query := func(key string) metric.Query {
		q, err := metric.ParseKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	v := wire.View{Version: 1, Variables: []wire.Variable{{Name: "machine", Tag: "host"}}, Widgets: []wire.WidgetView{
		wire.NewWidgetView("grouped", query(groupKey), 1000, true), wire.NewWidgetView("whole", query(oneKey), 1000, true),
	}}
	for _, c := range []struct {
		name, vars            string
		series, before, after string
	}{
		{"one", `{"machine":"h1"}`, "[map[host:h1]]", "2", "3"},
		{"several", `{"machine":["h2","h0"]}`, "[map[host:h0] map[host:h2]]", "1,3", "2,4"},
		{"none that is there", `{"machine":"x"}`, "[]", "", ""},
		{"all, said so", `{"machine":""}`, "[map[host:h0] map[host:h1] map[host:h2]]", "1,2,3", "2,3,4"},
		{"a variable that is not there, one of the wrong type", `{"region":"eu","machine":7}`, "[map[host:h0] map[host:h1] map[host:h2]]", "1,2,3", "2,3,4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := open(t, nil)
			w.showView(v)
			t0 := now() - 10_000
			w.publish(w.result(groupKey, t0, 1, 2, 3), w.result(oneKey, t0, 6))
			b := w.watch(`{"type":"hello","vars":` + c.vars + `}`)
			snapshots := map[int]message{}
			for range 2 {
				m := b.next("snapshot")
				snapshots[m.Index] = m
			}
			if got := tagTexts(snapshots[0]); fmt.Sprint(got) != c.series || text(snapshots[0].Points[0].values) != c.before {
				t.Errorf("snapshot of %v: %+v", got, snapshots[0])
			}
			if got := tagTexts(snapshots[1]); len(got) != 1 {
				t.Errorf("the widget that is not grouped shows %v", got)
			}
			w.publish(w.result(groupKey, t0+1000, 2, 3, 4))
			if u := b.point(0); text(u.values) != c.after && c.after != "" {
				t.Errorf("update: %s, want %s", text(u.values), c.after)
			}
		})
	}
}

// A client may ask for fewer frames; it gets the newest, and what lies between for its charts.
func TestMaxHz(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	seldom := w.watch(`{"type":"hello","max_hz":0.00001}`)
	seldom.next("snapshot")
	quick := w.watch(hello)
	quick.next("snapshot")
	t0 := now() - 60_000
	w.publish(w.result(oneKey, t0, 1))
	if m := quick.next("series"); m.SeriesVersion != "v1" {
		t.Fatalf("%+v", m)
	}
	quick.point(0)
	seldom.next("series")
	seldom.point(0) // The first one comes at once.
	for i := range int64(5) {
		w.publish(w.result(oneKey, t0+(i+1)*1000, float64(i)))
		quick.point(0)
	}
	// The next one would come in a day; a resync is answered.
	seldom.say(`{"type":"resync"}`)
	if m := seldom.next("snapshot"); len(m.Points) != 6 {
		t.Errorf("after a resync: %+v", m)
	}
	often := w.watch(`{"type":"hello","max_hz":4}`)
	often.next("snapshot")
	var frames, points int
	for i := range int64(20) {
		w.publish(w.result(oneKey, t0+(i+6)*1000, float64(i)))
		quick.point(0)
	}
	for last := int64(0); last < t0+25_000; frames++ {
		m := often.next2(t)
		for _, p := range m.Points {
			last, points = p.end, points+1
		}
		for _, u := range m.Updates {
			last, points = u.end, points+1
		}
	}
	if points != 20 {
		t.Errorf("%d points in %d frames, want 20", points, frames)
	}
}

// next2 is the next message with points, whatever kind it is.
func (b *browser) next2(t *testing.T) message {
	t.Helper()
	m, err := b.read(false)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEvents(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	t0 := now() - 10_000
	w.publish(w.result(oneKey, t0, 1))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/stream/"+dashboard+"/events?max_hz=50", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %v", res.Status, res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	next := func(kind string) (m message) {
		t.Helper()
		for lines.Scan() {
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			m = message{}
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if m.Type == kind {
				return m
			}
		}
		t.Fatalf("the events end without a %s: %v", kind, lines.Err())
		return m
	}
	if m := next("welcome"); len(m.Widgets) != 1 {
		t.Errorf("%+v", m)
	}
	if m := next("snapshot"); ends(m.Points) != fmt.Sprintf("%d=1", t0) {
		t.Errorf("%+v", m)
	}
	w.publish(w.result(oneKey, t0+1000, 2))
	if m := next("update"); m.Updates[0].end != t0+1000 || text(m.Updates[0].values) != "2" {
		t.Errorf("%+v", m)
	}
	next("heartbeat")
	go w.stop()
	if m := next("close"); m.Code != 1012 {
		t.Errorf("%+v", m)
	}
	if lines.Scan(); lines.Scan() {
		t.Errorf("after the close: %s", lines.Text())
	}
	w.stop()
}

func TestEventsThatAreRefused(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	for path, want := range map[string]int{
		"/stream/nobody/events":                     404,
		"/stream/" + dashboard + "/events?max_hz=x": 400,
		"/stream/" + dashboard + "/events?max_hz=0": 400,
	} {
		if status, body := w.get(path); status != want || body["detail"] == "" {
			t.Errorf("%s: %d %v, want %d", path, status, body, want)
		}
	}
	w.awaitConnections(0)
}

// A reader that is gone before its stream has begun leaves nothing behind: no room, no feed.
func TestEventsThatEndAtOnce(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	b := w.watch(hello)
	b.next("snapshot")
	for range 200 {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(c, "GET /stream/%s/events HTTP/1.1\r\nHost: x\r\n\r\n", dashboard); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitConnections(1)
	_ = b.ws.Close() // The last one that watches.
	w.awaitConnections(0)
	w.awaitGauge("pulseboard_gateway_feeds", 0)
}

func TestLimitOfAnAddress(t *testing.T) {
	w := open(t, func(c *gateway.Config) {
		c.MaxPerAddress, c.Proxies = 1, service.Proxies{netip.MustParsePrefix("127.0.0.1/32")}
	})
	w.show(1, oneKey)
	dial := func(forwarded string) (*websocket.Conn, int, string) {
		t.Helper()
		ws, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(w.url, "http")+"/stream/"+dashboard, http.Header{"X-Forwarded-For": {forwarded}})
		if err != nil {
			defer res.Body.Close() //nolint:errcheck // It was only read.
			var p struct{ Detail string }
			_ = json.NewDecoder(res.Body).Decode(&p)
			return nil, res.StatusCode, p.Detail
		}
		t.Cleanup(func() { _ = ws.Close() })
		return ws, 101, ""
	}
	first, status, _ := dial("198.51.100.1")
	if status != 101 {
		t.Fatalf("the first of an address: %d", status)
	}
	if _, status, detail := dial("198.51.100.1"); status != 429 || !strings.Contains(detail, "198.51.100.1 has 1 streams open") {
		t.Errorf("the second of an address: %d %q", status, detail)
	}
	if _, status, _ := dial("198.51.100.2"); status != 101 {
		t.Errorf("another address: %d", status)
	}
	_ = first.Close()
	w.until("the place is free again", func() bool {
		_, status, _ := dial("198.51.100.1")
		return status == 101
	})
}
