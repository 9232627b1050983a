package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"pulseboard/gateway"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/wire"
)

// shape is a dashboard and the results of its widgets.
type shape struct {
	name    string
	widgets []metric.Query
	points  int // Of each widget, before anybody looks.
	series  func(widget, point int) []metric.Tags
	parts   string                             // What must be in parts, or there would be nothing to see.
	bins    func(random *rand.Rand) []wire.Bin // Makes distributions in place of numbers; nil = numbers.
}

// tagged are so many series, named by prefix, each with the tags of by and a text in each of them.
func tagged(n int, prefix, text string, by ...string) []metric.Tags {
	all := make([]metric.Tags, n)
	for i := range all {
		for j, name := range by {
			value := fmt.Sprintf("%s%04d-%d", prefix, i, j) + text
			all[i] = append(all[i], metric.Tag{Key: name, Value: value[:min(len(value), metric.MaxTagValue)]})
		}
	}
	return all
}

func grouped(n int, by ...string) []metric.Query {
	all := make([]metric.Query, n)
	for i := range all {
		all[i] = metric.Query{Metric: fmt.Sprintf("m%d", i), Aggregation: "avg", WindowSeconds: 60, GroupBy: by}.Normal()
	}
	return all
}

// filtered are n widgets whose filters have so many values of 200 bytes made of text.
func filtered(n, values int, text string) []metric.Query {
	all := grouped(n)
	for i := range all {
		list := make([]string, values)
		for j := range list {
			list[j] = fmt.Sprintf("%d-%d-", i, j) + strings.Repeat(text, 200/len(text))
		}
		filter, err := json.Marshal(map[string]any{"container": list})
		if err == nil {
			err = json.Unmarshal(filter, &all[i].Filter)
		}
		if err != nil {
			panic(err)
		}
		all[i] = all[i].Normal()
	}
	return all
}

// anyBins is a distribution of any length.
func anyBins(random *rand.Rand) []wire.Bin { return bins(random, 1+random.IntN(wire.MaxBins)) }

// mostBins is a distribution as long as can be.
func mostBins(random *rand.Rand) []wire.Bin { return bins(random, wire.MaxBins) }

func bins(random *rand.Rand, n int) []wire.Bin {
	out := make([]wire.Bin, n)
	for i := range out {
		lower := float64(i*1234567-99999999) * 1e299
		out[i] = wire.Bin{Lower: lower, Upper: lower + 1234567e299, Count: 1 + random.Int64N(math.MaxInt64/100)}
	}
	return out
}

func shapes() []shape {
	by := []string{"a", "b", "c", "d"}
	one := []metric.Tags{nil}
	hundred, long := tagged(100, "worker-", "", "container"), tagged(100, "w", strings.Repeat("\"\x01<", 200), by...)
	values, most := tagged(100, "w", "", "host"), tagged(9000, "w", "", "host")
	return []shape{
		{"case 11: 100 series, 600 points", grouped(1, "container"), 600, func(int, int) []metric.Tags { return hundred }, "snapshot", nil},
		{"200 widgets with long filters", filtered(200, 20, "x"), 2, func(int, int) []metric.Tags { return one }, "welcome", nil},
		{"filters longer than a frame", filtered(3, 1600, "é<"), 2, func(int, int) []metric.Tags { return one }, "welcome", nil},
		{"a list of series longer than a frame", grouped(2, by...), 20, func(int, int) []metric.Tags { return long }, "series", nil},
		{"such a list that changes", grouped(1, by...), 6, func(_, point int) []metric.Tags { return long[point%3:] }, "series", nil},
		{"other series at each point", grouped(1, "host"), 60, func(_, point int) []metric.Tags { return tagged(100, fmt.Sprint("p", point, "-"), "", "host") }, "snapshot", nil},
		{"series that come and go", grouped(2, "host"), 300, func(w, point int) []metric.Tags { return values[(point*7+w)%60:] }, "snapshot", nil},
		{"200 widgets of 100 series", grouped(200, "host"), 1, func(int, int) []metric.Tags { return values }, "update", nil},
		{"more series than a frame has values", grouped(1, "host"), 3, func(int, int) []metric.Tags { return most }, "snapshot", nil},
		{"distributions", grouped(3), 300, func(int, int) []metric.Tags { return one }, "snapshot", anyBins},
		{"distributions of series that come and go", grouped(1, "host"), 20, func(_, point int) []metric.Tags { return values[(point*7)%60:] }, "snapshot", anyBins},
		{"more distributions than a frame holds", grouped(1, "container"), 3, func(int, int) []metric.Tags { return hundred }, "snapshot", mostBins},
	}
}

// stage is a world with a shape, and what was published there.
type stage struct {
	*world
	shape
	random *rand.Rand
	truth  []map[int64]seenPoint // By widget and end.
	end    int64
}

func newStage(t *testing.T, s shape) *stage {
	t.Helper()
	st := &stage{world: open(t, nil), shape: s, random: rand.New(rand.NewPCG(1, 2))}
	v := wire.View{Version: 1}
	for i, q := range s.widgets {
		v.Widgets = append(v.Widgets, wire.NewWidgetView(fmt.Sprintf("00000000-0000-4000-8000-%012d", i), q, 1000, true))
	}
	st.showView(v)
	st.truth = make([]map[int64]seenPoint, len(s.widgets))
	st.end = now() - int64(s.points)*1000
	for i := range s.points {
		st.go1(i)
	}
	return st
}

// go1 publishes the next result of each widget.
func (st *stage) go1(point int) {
	st.t.Helper()
	st.end += 1000
	pubs := make([]results.Publication, 0, len(st.widgets))
	for w, q := range st.widgets {
		r := &wire.Result{
			Key: q.Key(), WindowStart: st.end - 60_000, WindowEnd: st.end, PrevEnd: st.prev[q.Key()], Due: []int64{1000}, NewestEvent: &st.end,
			Complete: true, Matched: 1, SeriesVersion: fmt.Sprint("v", point),
		}
		st.prev[q.Key()] = st.end
		truth := seenPoint{}
		series := st.series(w, point)
		if point > 0 && len(series) > 0 && &series[0] == &st.series(w, point-1)[0] {
			r.SeriesVersion = "same"
		}
		for i, tags := range series {
			v, most := st.value(), wire.MaxStreamSeries
			if v.Bins != nil {
				most = wire.MaxStreamDistributions
			}
			v.Tags = tags
			if r.Series = append(r.Series, v); i < most {
				truth[tagText(asMap(tags))] = valueText(st.t, v)
			}
		}
		if st.truth[w] == nil {
			st.truth[w] = map[int64]seenPoint{}
		}
		st.truth[w][st.end] = truth
		pubs = append(pubs, results.Publication{Result: r, Announce: true})
	}
	st.publish(pubs...)
}

// value is a random number, or a distribution where the shape has such.
func (st *stage) value() wire.SeriesValue {
	if st.bins != nil {
		return wire.SeriesValue{Bins: st.bins(st.random), Count: 1}
	}
	value := st.random.NormFloat64() * 1000 / 7
	return wire.SeriesValue{Value: &value, Count: 1}
}

// valueText is how text writes the value of a series that a reader has.
func valueText(t *testing.T, v wire.SeriesValue) string {
	t.Helper()
	if v.Bins == nil {
		return fmt.Sprint(*v.Value)
	}
	b, err := json.Marshal(wire.Value{Bins: v.Bins})
	if err != nil {
		t.Fatal(err)
	}
	var read any
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(read)
}

func asMap(tags metric.Tags) map[string]string {
	m := map[string]string{}
	for _, tag := range tags {
		m[tag.Key] = tag.Value
	}
	return m
}

// has reports whether v is at the end of what was published.
func (st *stage) has(v *viewer) bool {
	for i := range st.widgets {
		if v.last[i] != st.end || v.midway[i] {
			return false
		}
	}
	return true
}

// check compares all that v has with what was published, from first on.
func (st *stage) check(v *viewer) {
	st.t.Helper()
	if len(v.widgets) != len(st.widgets) {
		st.t.Fatalf("%s: %d widgets, want %d", v.name, len(v.widgets), len(st.widgets))
	}
	for i, q := range st.widgets {
		if w := v.widgets[i]; w.index != i || w.key != q.Key() {
			st.t.Errorf("%s: widget %d is %d with a key of %d bytes, want %d", v.name, i, w.index, len(w.key), len(q.Key()))
		}
		// The history has 600.
		first := max(st.end-(min(int64(len(st.truth[i])), wire.HistoryLength)-1)*1000, 0)
		for end := range v.seen[i] {
			first = min(first, end)
		}
		for end, want := range st.truth[i] {
			if end < first {
				continue
			}
			if got := v.seen[i][end]; !maps.Equal(got, want) {
				st.t.Fatalf("%s: widget %d at %d has %d values, want %d, or they differ", v.name, i, end, len(got), len(want))
			}
		}
	}
}

// follow reads frames until v has everything, and at most so many snapshots;
// it returns the types of those that said that more comes.
func (st *stage) follow(v *viewer, snapshots int) (parts map[string]int) {
	st.t.Helper()
	parts = map[string]int{}
	for !st.has(v) && snapshots != 0 {
		m, err := v.browser.read(true)
		if err == nil {
			err = v.take(m)
		}
		if err != nil {
			st.t.Fatalf("%s: %v", v.name, err)
		}
		if m.More {
			parts[m.Type]++
		}
		if m.Type == "snapshot" {
			snapshots--
		}
	}
	return parts
}

// Whatever a dashboard has, a client that takes 256 KiB a frame, and not a byte
// more, gets all of it, with the values that were published: at first, in
// updates, and after a loss wherever it was.
func TestFramesFitOrdinaryClients(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			st := newStage(t, s)
			v := newViewer("the first", st.dial(dashboard))
			v.browser.say(hello)
			parts := st.follow(v, -1)
			st.check(v)
			for i := range 3 {
				st.go1(s.points + i)
				for kind, n := range st.follow(v, -1) {
					parts[kind] += n
				}
			}
			st.check(v)
			if parts[s.parts] == 0 {
				t.Errorf("no %s was in parts: %v", s.parts, parts)
			}
			for i := range s.widgets {
				if v.resets[i] != 1 {
					t.Errorf("widget %d was begun %d times", i, v.resets[i])
				}
			}
			// Lost after each of its snapshots, or some of them: it goes on there.
			for lost := 1; ; lost += 1 + lost {
				again := newViewer(fmt.Sprint("lost after snapshot ", lost), st.dial(dashboard))
				again.browser.say(hello)
				st.follow(again, lost)
				whole := st.has(again)
				_ = again.browser.ws.Close() // It is lost.
				st.resume(again)
				if whole {
					break
				}
			}
		})
	}
}

// resume brings a viewer back that was lost.
func (st *stage) resume(v *viewer) {
	st.t.Helper()
	type point struct {
		Key string `json:"key"`
		End int64  `json:"window_end"`
	}
	resume := map[string]point{}
	for _, w := range v.widgets {
		if v.last[w.index] > 0 {
			resume[w.id] = point{w.keyID, v.last[w.index]}
		}
	}
	text, err := json.Marshal(map[string]any{"type": "hello", "resume": resume})
	if err != nil {
		st.t.Fatal(err)
	}
	if len(text) > 32<<10 {
		st.t.Errorf("the hello of %d widgets has %d bytes", len(v.widgets), len(text))
	}
	v.browser, v.resets = st.dial(dashboard), map[int]int{}
	v.version, v.midway = map[int]string{}, map[int]bool{} // They belong to a connection.
	v.browser.say(string(text))
	answered := map[int]bool{}
	for len(answered) < len(st.widgets) {
		m, err := v.browser.read(true)
		if err == nil {
			err = v.take(m)
		}
		if err != nil {
			st.t.Fatalf("%s: %v", v.name, err)
		}
		if m.Type == "snapshot" && !m.More {
			answered[m.Index] = true
		}
	}
	st.check(v)
	for _, w := range v.widgets {
		if _, resumed := resume[w.id]; resumed && v.resets[w.index] > 0 {
			st.t.Errorf("%s: widget %d began anew", v.name, w.index)
		}
	}
	_ = v.browser.ws.Close() // It was only read.
}

// Events of SSE are as short, with what is around their data.
func TestEventsFitOrdinaryReaders(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			st := newStage(t, s)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, st.url+"/stream/"+dashboard+"/events", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close() //nolint:errcheck // It was only read.
			lines, v, length := bufio.NewReader(res.Body), newViewer("reader", nil), 0
			for further := 0; ; {
				if st.has(v) {
					st.check(v)
					if further++; further > 2 {
						return
					}
					st.go1(s.points + further)
				}
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if length += len(line); length > maxFrame {
					t.Fatalf("an event of more than %d bytes: %.100s", maxFrame, line)
				}
				if line == "\n" {
					length = 0
				}
				text, ok := strings.CutPrefix(line, "data: ")
				if !ok {
					continue
				}
				var m message
				if err := json.Unmarshal([]byte(text), &m); err != nil {
					t.Fatalf("%.100s: %v", text, err)
				}
				if err := v.take(m); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Who asks for fewer points gets the newest ones.
func TestFewerPoints(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	t0 := now() - 20_000
	for i := range int64(10) {
		w.publish(w.result(oneKey, t0+i*1000, float64(i)))
	}
	newest := func(n int64) string {
		parts := make([]string, 0, n)
		for i := 10 - n; i < 10; i++ {
			parts = append(parts, fmt.Sprintf("%d=%d", t0+i*1000, i))
		}
		return strings.Join(parts, " ")
	}
	at := func(i int64) string {
		return fmt.Sprintf(`,"resume":{"w:%s":{"key":%q,"window_end":%d}}`, oneKey, oneKey, t0+i*1000)
	}
	for _, c := range []struct {
		hello string
		n     int64
		reset bool
	}{
		{`,"points":3`, 3, true},
		{`,"points":1`, 1, true},
		{`,"points":600`, 10, true},
		{`,"points":10000`, 10, true},
		{`,"points":0`, 10, true},
		{`,"points":-1`, 10, true},
		{`,"points":2.5`, 10, true},
		{`,"points":"3"`, 10, true},
		{`,"points":3` + at(7), 2, false},
		{`,"points":3` + at(6), 3, false},
		{`,"points":3` + at(5), 3, true},
		{`,"points":3` + at(9), 0, false},
	} {
		b := w.watch(`{"type":"hello"` + c.hello + `}`)
		if s := b.next("snapshot"); ends(s.Points) != newest(c.n) || s.Reset != c.reset || s.More {
			t.Errorf("%s: reset %t, %s, want %t, %s", c.hello, s.Reset, ends(s.Points), c.reset, newest(c.n))
		}
	}
	for query, want := range map[string]int{"points=0": 400, "points=601": 400, "points=1.5": 400, "points=": 400, "points=x": 400} {
		status, body := w.get("/stream/" + dashboard + "/events?" + query)
		if detail, _ := body["detail"].(string); status != want || !strings.Contains(detail, "1 to 600") {
			t.Errorf("%s: %d %v, want %d", query, status, body, want)
		}
	}
}

// What a client says has limits too, which docs/protocol.md tells.
func TestMessagesOfClientsAreBounded(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	padded := func(text string, n int) string { return text + strings.Repeat(" ", n-len(text)) }
	b := w.watch(padded(hello, 256<<10))
	b.next("snapshot")
	b.say(padded(`{"type":"resync"}`, 4<<10))
	b.next("snapshot")
	b.say(padded(`{"type":"resync"}`, 4<<10+1))
	if _, code := b.closed(); code != websocket.CloseMessageTooBig {
		t.Errorf("a long message: closed with %d", code)
	}
	b = w.dial(dashboard)
	// It is closed before all of it is read: the reason may be lost with the rest.
	_ = b.ws.WriteMessage(websocket.TextMessage, []byte(padded(hello, 256<<10+1)))
	m, err := b.read(true)
	if closed, ok := err.(*websocket.CloseError); err == nil || ok && closed.Code != websocket.CloseMessageTooBig { //nolint:errorlint // The library returns it bare.
		t.Errorf("a long hello: %+v, %v", m, err)
	}
}

// Pages are told which page the server has, where it has one.
func TestBuildIsTold(t *testing.T) {
	for _, build := range []string{"", "0c2d56f0a1b2"} {
		w := open(t, func(c *gateway.Config) { c.Build = build })
		w.show(1, oneKey)
		b := w.dial(dashboard)
		b.say(hello)
		if m := b.next("welcome"); m.Build != build {
			t.Errorf("build %q, want %q", m.Build, build)
		}
	}
}
