package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/gateway"
	"pulseboard/wire"
)

// now is the newest window end that could be there: results of the past are stale.
func now() int64 { return time.Now().UnixMilli() / 1000 * 1000 }

func TestSnapshotsThenUpdates(t *testing.T) {
	w := open(t, nil)
	w.show(3, oneKey, groupKey)
	t0 := now() - 10_000
	w.publish(w.result(oneKey, t0, 1), w.result(oneKey, t0+1000, 2), w.result(groupKey, t0, 5), w.result(groupKey, t0+1000, 6, 7))

	b := w.dial(dashboard)
	b.say(hello)
	m := b.next("welcome")
	if m.Dashboard.Version != 3 || len(m.Widgets) != 2 || m.Widgets[0].MetricKey != oneKey || m.Widgets[1].WidgetID != "w:"+groupKey || m.Widgets[1].RefreshMs != 1000 || m.Widgets[0].WindowMs != 5000 || m.Widgets[0].GroupBy != nil || fmt.Sprint(m.Widgets[1].GroupBy) != "[host]" || m.Heartbeat != 5000 {
		t.Errorf("welcome %+v", m)
	}
	got := map[int]message{}
	for range 2 {
		m := b.next("snapshot")
		got[m.Index] = m
	}
	if s := got[0]; ends(s.Points) != fmt.Sprintf("%d=1 %d=2", t0, t0+1000) || !s.Reset || s.CoveredSince == nil || *s.CoveredSince != t0-5000 || s.State == "waiting" {
		t.Errorf("snapshot %+v", s)
	}
	// The series of a snapshot are the union over its points.
	if s := got[1]; ends(s.Points) != fmt.Sprintf("%d=5,null %d=6,7", t0, t0+1000) || len(s.Series) != 2 || s.Series[1].Tags["host"] != "h1" {
		t.Errorf("snapshot %+v", s)
	}

	w.publish(w.result(oneKey, t0+2000, 2))
	if u := b.point(0); u.end != t0+2000 || u.values != nil {
		t.Errorf("unchanged values: %+v %s, want null", u, text(u.values))
	}
	w.publish(w.result(oneKey, t0+3000, 8))
	if u := b.point(0); u.end != t0+3000 || text(u.values) != "8" {
		t.Errorf("update %+v %s", u, text(u.values))
	}
	// A new list of series is told before the first values in its order.
	w.publish(w.result(groupKey, t0+2000, 1, 2, 3))
	s := b.next("series")
	if s.Index != 1 || len(s.Series) != 3 || s.SeriesVersion != "v3" {
		t.Errorf("series %+v", s)
	}
	if u := b.point(1); u.version != "v3" || text(u.values) != "1,2,3" {
		t.Errorf("update %+v %s", u, text(u.values))
	}
	// What was sent is never sent again.
	w.publish(w.result(oneKey, t0+3000, 9), w.result(oneKey, t0+4000, 10))
	if u := b.point(0); u.end != t0+4000 || text(u.values) != "10" {
		t.Errorf("update %+v %s", u, text(u.values))
	}
}

// Whenever a client comes, its snapshot and its updates together are every
// window once, in order, with the published values.
func TestNoGapAndNoDuplicate(t *testing.T) {
	const rounds, clients = 120, 24
	w := open(t, nil)
	w.show(1, oneKey, groupKey)
	t0 := now() - 1_000_000
	value := func(key string, i int) float64 { return float64(len(key)*1000 + i/3) }
	keys := []string{oneKey, groupKey}
	last := t0 + int64(rounds-1)*1000

	var wg sync.WaitGroup
	faults := make(chan string, clients)
	begin := make([]chan struct{}, rounds)
	for i := range begin {
		begin[i] = make(chan struct{})
	}
	for c := range clients {
		b := w.dial(dashboard)
		from := rand.N(rounds)
		wg.Go(func() {
			<-begin[from]
			if err := b.ws.WriteMessage(websocket.TextMessage, []byte(hello)); err != nil {
				faults <- err.Error()
				return
			}
			if fault := follow(b, keys, t0, last, value); fault != "" {
				faults <- fmt.Sprintf("client %d, come at round %d: %s", c, from, fault)
			}
		})
	}
	for i := range rounds {
		for _, key := range keys {
			w.publish(w.result(key, t0+int64(i)*1000, value(key, i)))
		}
		close(begin[i])
	}
	wg.Wait()
	close(faults)
	for f := range faults {
		t.Error(f)
	}
}

// follow applies messages until every key is at last, and says what is wrong with them.
func follow(b *browser, keys []string, t0, last int64, value func(string, int) float64) string {
	at := make([]int64, len(keys))
	known := make([]string, len(keys))
	take := func(i int, end int64, values string) string {
		if at[i] != 0 && end != at[i]+1000 {
			return fmt.Sprintf("%s: %d comes after %d", keys[i], end, at[i])
		}
		if values == "null" {
			values = known[i]
		}
		if want := fmt.Sprint(value(keys[i], int(end-t0)/1000)); values != want {
			return fmt.Sprintf("%s at %d: %s, want %s", keys[i], end, values, want)
		}
		at[i], known[i] = end, values
		return ""
	}
	for at[0] < last || at[1] < last {
		m, err := b.read(false)
		if err != nil {
			return err.Error()
		}
		for _, p := range m.Points {
			if fault := take(m.Index, p.end, text(p.values)); fault != "" {
				return "snapshot: " + fault
			}
		}
		for _, u := range m.Updates {
			if fault := take(u.index, u.end, text(u.values)); fault != "" {
				return "update: " + fault
			}
		}
	}
	return ""
}

// A message that is lost shows in the next one's prev_end, and one that nobody
// follows is found in the history.
func TestLostMessages(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	t0 := now() - 20_000
	w.publish(w.result(oneKey, t0, 1))
	b := w.watch(hello)
	b.next("snapshot")
	w.silently(w.result(oneKey, t0+1000, 2))
	w.silently(w.result(oneKey, t0+2000, 3))
	w.publish(w.result(oneKey, t0+3000, 4))
	if s := b.next("snapshot"); s.Reset || ends(s.Points) != fmt.Sprintf("%d=2 %d=3", t0+1000, t0+2000) {
		t.Errorf("the lost ones: %+v", s)
	}
	if u := b.point(0); u.end != t0+3000 || text(u.values) != "4" {
		t.Errorf("update %+v", u)
	}
	w.silently(w.result(oneKey, t0+4000, 5)) // The last for a while.
	if u := b.point(0); u.end != t0+4000 || text(u.values) != "5" {
		t.Errorf("update %+v", u)
	}
}

// The first history of a key may come without a message, when its ends were
// announced before for another refresh interval.
func TestFirstHistoryWithoutAMessage(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	b := w.watch(hello)
	if s := b.next("snapshot"); s.State != "waiting" {
		t.Fatalf("snapshot %+v", s)
	}
	t0 := now() - 3000
	w.silently(w.result(oneKey, t0, 1))
	b.next("series")
	if u := b.point(0); u.end != t0 || text(u.values) != "1" {
		t.Errorf("update %+v", u)
	}
}

func TestEditsReachOpenStreams(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	t0 := now() - 5000
	w.publish(w.result(oneKey, t0, 1))
	b := w.watch(hello)
	b.next("snapshot")
	w.show(2, groupKey, oneKey)
	if m := b.next("dashboard"); m.Version != 2 || len(m.Widgets) != 2 || m.Widgets[1].MetricKey != oneKey {
		t.Errorf("dashboard %+v", m)
	}
	// Only the new widget gets a snapshot; the other goes on where it was.
	if s := b.next("snapshot"); s.Index != 0 || s.State != "waiting" || len(s.Points) != 0 || s.CoveredSince != nil {
		t.Errorf("snapshot %+v", s)
	}
	w.publish(w.result(oneKey, t0+1000, 2))
	if u := b.point(1); u.end != t0+1000 || text(u.values) != "2" {
		t.Errorf("update %+v", u)
	}
	w.show(3, groupKey)
	b.next("dashboard")
	w.until("the channel of the removed widget to be left", func() bool { return channels(w) == groupKey })
	if err := w.dashboard.PublishViews(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if m, code := b.closed(); m.Type != "close" || m.Code != 4404 || code != 4404 {
		t.Errorf("after the deletion: %+v, code %d", m, code)
	}
	w.until("the last channel to be left", func() bool { return channels(w) == "" })
}

// channels are those of results that the gateway is subscribed to.
func channels(w *world) string {
	var keys []string
	for _, c := range w.redis.PubSubChannels("*") {
		if c != "dashboards:changed" {
			keys = append(keys, c)
		}
	}
	return strings.Join(keys, " ")
}

func TestResumeAndResync(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	t0 := now() - 5000
	for i := range int64(4) {
		w.publish(w.result(oneKey, t0+i*1000, float64(i)))
	}
	all := fmt.Sprintf("%d=0 %d=1 %d=2 %d=3", t0, t0+1000, t0+2000, t0+3000)
	b := w.dial(dashboard)
	b.say(hello)
	id := b.next("welcome").Widgets[0].KeyID
	if len(id) != 16 {
		t.Errorf("key_id %q", id)
	}
	for _, c := range []struct {
		name, key string
		end       int64
		reset     bool
		points    string
	}{
		{"where it was", id, t0 + 1000, false, fmt.Sprintf("%d=2 %d=3", t0+2000, t0+3000)},
		{"where it was, by the key itself", oneKey, t0 + 1000, false, fmt.Sprintf("%d=2 %d=3", t0+2000, t0+3000)},
		{"no key", "", t0 + 1000, true, all},
		{"nothing new", oneKey, t0 + 3000, false, ""},
		{"another key", groupKey, t0 + 1000, true, all},
		{"the future", oneKey, t0 + 99_000, true, all},
		{"no end of the key", oneKey, t0 + 1500, true, all},
		{"before the history", oneKey, t0 - 99_000, true, all},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := w.watch(fmt.Sprintf(`{"type":"hello","resume":{"w:%s":{"key":%q,"window_end":%d}}}`, oneKey, c.key, c.end))
			if s := b.next("snapshot"); s.Reset != c.reset || ends(s.Points) != c.points {
				t.Errorf("reset %v, %s", s.Reset, ends(s.Points))
			}
			b.say(`{"type":"resync"}`)
			if s := b.next("snapshot"); !s.Reset || ends(s.Points) != all {
				t.Errorf("resync: reset %v, %s", s.Reset, ends(s.Points))
			}
		})
	}
}

func TestPauseAndPlay(t *testing.T) {
	w := open(t, func(c *gateway.Config) { c.Heartbeat = 200 * time.Millisecond })
	w.show(1, oneKey)
	t0 := now() - 5000
	w.publish(w.result(oneKey, t0, 1))
	b := w.watch(hello)
	b.next("snapshot")
	b.say(`{"type":"pause"}`)
	b.say(`{"type":"something new"}`)
	for range 5 { // By then the pause has arrived.
		b.next("heartbeat")
	}
	w.publish(w.result(oneKey, t0+1000, 2))
	w.publish(w.result(oneKey, t0+2000, 3))
	for range 2 { // No silence, but no update either.
		b.next("heartbeat")
	}
	b.say(`{"type":"play"}`)
	if s := b.next("snapshot"); s.Reset || ends(s.Points) != fmt.Sprintf("%d=2 %d=3", t0+1000, t0+2000) {
		t.Errorf("after play: %+v", s)
	}
}

func TestConnectionsThatAreClosed(t *testing.T) {
	w := open(t, func(c *gateway.Config) { c.HelloTimeout, c.MaxConnections, c.MaxPerAddress = 2*time.Second, 4, 4 })
	w.show(1, oneKey)
	for _, c := range []struct {
		name, id, say string
		code          int
	}{
		{"unknown dashboard", "nobody", hello, 4404},
		{"not JSON", dashboard, `{"type":`, 4400},
		{"no hello", dashboard, `{"type":"resync"}`, 4408},
		{"not JSON later", dashboard, hello + "\n", 0},
	} {
		b := w.dial(c.id)
		b.say(c.say)
		if c.code == 0 {
			b.next("welcome")
			b.say("?")
			c.code = 4400
		}
		if m, code := b.closed(); m.Type != "close" || m.Code != c.code || code != c.code || m.Reason == "" {
			t.Errorf("%s: %+v, code %d", c.name, m, code)
		}
	}
	// A place is free a moment after its client has seen the end.
	w.awaitConnections(0)
	var open []*browser
	for range 4 {
		open = append(open, w.watch(hello))
	}
	if status, body := w.get("/stream/" + dashboard); status != 426 {
		t.Errorf("without an upgrade: %d %v", status, body)
	}
	_, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(w.url, "http")+"/stream/"+dashboard, nil) //nolint:bodyclose // The library has read it.
	if err == nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %v %v", res, err)
	}
	go w.stop()
	for _, b := range open {
		if m, code := b.closed(); m.Type != "close" || m.Code != 1012 || code != 1012 {
			t.Errorf("at the end: %+v, code %d", m, code)
		}
	}
	w.stop()
}

// A dashboard that was just made may not be in Redis yet when its page is opened.
func TestDashboardThatComesALittleLater(t *testing.T) {
	w := open(t, nil)
	if err := w.dashboard.PublishViews(t.Context(), map[string]wire.View{"other": {Version: 1}}); err != nil {
		t.Fatal(err)
	}
	b := w.dial(dashboard)
	b.say(hello)
	w.show(1, oneKey)
	b.next("welcome")
}

// A client that does not read delays nobody, and gets the newest with what it
// missed for its chart once it reads again.
func TestSlowClient(t *testing.T) {
	const rounds, series = 200, 1000 // More than sockets take.
	w := open(t, nil)
	w.show(1, groupKey)
	slow, quick := w.watch(hello), w.watch(hello)
	slow.next("snapshot")
	quick.next("snapshot")
	t0 := now() - 2_000_000
	values := make([]float64, series)
	var end int64
	for i := range rounds {
		end = t0 + int64(i)*1000
		for j := range values {
			values[j] = float64(i) + float64(j)/7
		}
		w.publish(w.result(groupKey, end, values...))
		if i == 0 {
			quick.next("series")
		}
		if u := quick.point(0); u.end != end {
			t.Fatalf("the quick client got %d, want %d", u.end, end)
		}
	}
	skipped, at, points := 0, int64(0), 0
	for at < end {
		m, err := slow.read(false)
		if err != nil {
			t.Fatal(err)
		}
		skipped += m.Skipped
		for _, p := range m.Points {
			at = max(at, p.end)
			points++
		}
		for _, u := range m.Updates {
			at = max(at, u.end)
			points++
		}
	}
	if skipped == 0 || points != rounds {
		t.Errorf("%d results were skipped, %d points came of %d", skipped, points, rounds)
	}
}

func TestStates(t *testing.T) {
	w := open(t, func(c *gateway.Config) { c.Slice = 100 * time.Millisecond })
	w.show(1, oneKey)
	path := "/dashboards/" + dashboard + "/widgets/w:" + oneKey + "/snapshot"
	state := func(want string) map[string]any {
		t.Helper()
		status, body := w.get(path)
		if status != 200 || body["state"] != want {
			t.Errorf("snapshot %d %v, want %s", status, body, want)
		}
		return body
	}
	state("waiting")
	b := w.watch(hello)
	if s := b.next("snapshot"); s.State != "waiting" {
		t.Errorf("snapshot %+v", s)
	}
	w.publish(w.result(oneKey, now(), 4))
	for m := b.next("state"); m.State != "live"; m = b.next("state") {
	}
	b.next("series")
	b.point(0)
	if body := state("live"); len(body["series"].([]any)) != 1 {
		t.Errorf("%v", body)
	}
	for m, err := b.read(true); m.State != "stale"; m, err = b.read(true) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if body := state("stale"); len(body["series"].([]any)) != 0 || body["window_end"] == nil {
		t.Errorf("values are not withheld: %v", body)
	}
	w.publish(w.result(oneKey, now()+1000, 4))
	for m, err := b.read(true); m.State != "live"; m, err = b.read(true) {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.redis.SetError("LOADING Redis is loading")
	for m, err := b.read(true); m.State != "degraded"; m, err = b.read(true) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if status, body := w.get("/dashboards/nobody/widgets/x/snapshot"); status != 503 {
		t.Errorf("without Redis: %d %v", status, body)
	}
	w.redis.SetError("")
	w.until("404 for an unknown dashboard", func() bool {
		status, _ := w.get("/dashboards/nobody/widgets/x/snapshot")
		return status == http.StatusNotFound
	})
	if status, _ := w.get("/dashboards/" + dashboard + "/widgets/x/snapshot"); status != 404 {
		t.Errorf("an unknown widget: %d", status)
	}
}

// After Redis was restarted, empty, the stream goes on with what is published then.
func TestRedisRestarts(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	t0 := now() - 5000
	w.publish(w.result(oneKey, t0, 1))
	b := w.watch(hello)
	b.next("snapshot")
	w.redis.Close()
	w.redis.FlushAll()
	if err := w.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	w.results.Doubt() // As the pipeline has it, which has noticed.
	w.show(1, oneKey)
	w.publish(w.result(oneKey, t0+1000, 2))
	w.publish(w.result(oneKey, t0+2000, 3))
	at := t0
	for at < t0+2000 {
		m, err := b.read(false)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Points {
			at = max(at, p.end)
		}
		for _, u := range m.Updates {
			at = max(at, u.end)
		}
	}
}
