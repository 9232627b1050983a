package catalog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pulseboard/aggregate"
	"pulseboard/internal/redisconn"
)

// surveyedGroups is the key groups of a run as they pass one slice a second, and what publishes their catalog.
type surveyedGroups struct {
	*Publisher

	t      *testing.T
	at     int64
	log    strings.Builder
	mu     sync.Mutex // Guards groups.
	groups [testGroups]*testGroup
}

// testGroup is a key group as the publisher sees it.
type testGroup struct {
	store    *aggregate.Store
	observer *Observer
	epoch    uint64
	advanced time.Time
}

const (
	testRetain = 100
	testGroups = 2
)

func newSurveyed(t *testing.T, addr string, change func(*sizes)) *surveyedGroups {
	t.Helper()
	store, err := Open(t.Context(), redisconn.At(addr))
	if err != nil {
		t.Fatal(err)
	}
	j := &surveyedGroups{t: t, at: 1_763_892_000_000}
	j.build()
	s := defaultSizes()
	if change != nil {
		change(&s)
	}
	j.Publisher = newPublisher(store, j, []string{hidden}, slog.New(slog.NewTextHandler(&j.log, nil)), s)
	t.Cleanup(func() { _ = store.Close() })
	return j
}

// build makes the key groups anew.
func (j *surveyedGroups) build() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.groups {
		o := NewObserver(MaxTags, 1000)
		j.groups[i] = &testGroup{store: aggregate.NewStore(aggregate.Options{Retain: testRetain, Observer: o}), observer: o, epoch: rand.Uint64()}
	}
}

// Survey implements Surveyed.
func (j *surveyedGroups) Survey(visit func(Survey)) {
	j.mu.Lock()
	var surveys []Survey
	for i, g := range j.groups {
		if !g.advanced.IsZero() {
			changed := g.observer.Survey(nil, j.at/1000, g.observer.Changed())
			surveys = append(surveys, Survey{KeyGroup: i, Epoch: g.epoch, Advanced: g.advanced, Metrics: g.observer.Metrics(), Changed: changed})
		}
	}
	j.mu.Unlock()
	for _, s := range surveys {
		visit(s)
	}
}

// slice passes a slice with events, written "metric host".
func (j *surveyedGroups) slice(events ...string) {
	j.t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var tables [testGroups]aggregate.Table
	for g := range tables {
		tables[g] = aggregate.Table{}
	}
	for _, e := range events {
		name, host, _ := strings.Cut(e, " ")
		tables[int(name[0])%testGroups].Add(j.at/1000, key(name, "host="+host), 4, j.at)
	}
	for i, g := range j.groups {
		g.store.Merge(tables[i])
		g.store.Pass(j.at / 1000)
		g.advanced = time.Now()
	}
	j.at += 1000
}

// publishes makes a round and compares what is in Redis afterwards: "metric series[!] updated", in seconds.
func (j *surveyedGroups) publishes(want string) {
	j.t.Helper()
	j.round(j.t.Context())
	j.holds(want)
}

func (j *surveyedGroups) holds(want string) {
	j.t.Helper()
	var got []string
	for _, e := range load(j.t, j.store) {
		line := fmt.Sprint(e.Metric, " ", e.Series)
		if len(e.Tags) > 0 && len(e.Tags[0].Values) == 0 {
			line += " brief"
		}
		got = append(got, fmt.Sprintf("%s @%d", line, e.Updated/1000))
	}
	if got := strings.Join(got, "; "); got != want {
		j.t.Errorf("the catalog is %q, want %q", got, want)
	}
}

// valueOf reads a counter or a gauge.
func valueOf(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}

// setClock is a Redis whose clock stands at a second.
type setClock struct{ *miniredis.Miniredis }

func newClock(t *testing.T) setClock {
	t.Helper()
	c := setClock{miniredis.RunT(t)}
	c.at(100)
	return c
}

func (c setClock) at(second int64) { c.SetTime(time.Unix(second, 0)) }

// Only what changed is written, with the time of Redis, and in full what there is to know.
func TestCatalogHoldsWhatArrives(t *testing.T) {
	redis := newClock(t)
	j := newSurveyed(t, redis.Addr(), nil)
	j.publishes("")
	j.slice("a x", "a y", "b x")
	j.publishes("a 2 @100; b 1 @100")
	redis.at(110)
	j.publishes("a 2 @100; b 1 @100")
	j.slice("b y", "c x")
	j.publishes("a 2 @100; b 2 @110; c 1 @110")
	mean := 4.0
	want := Entry{
		Metric: "a", Series: 2, Tags: []Tag{{Key: "host", Values: []string{"x", "y"}}},
		Kinds: []string{"event"}, Units: []string{}, Help: []string{}, LastEvent: 1_763_892_000_000, LastMean: &mean, Updated: 100_000,
	}
	got, _ := load(t, j.store)[0].Encode()
	if wanted, err := want.Encode(); err != nil || string(got) != string(wanted) {
		t.Errorf("the entry is %s, want %s", got, wanted)
	}
	if n := valueOf(t, heldTotal); n != 3 {
		t.Errorf("the metric says %v metrics", n)
	}
}

// What did not change is written again before anybody takes it for stale.
func TestCatalogIsRefreshed(t *testing.T) {
	redis := newClock(t)
	j := newSurveyed(t, redis.Addr(), nil)
	j.slice("a x", "b x")
	j.publishes("a 1 @100; b 1 @100")
	redis.at(110)
	j.held["a"].published = time.Now().Add(-j.sizes.refresh)
	j.publishes("a 1 @110; b 1 @100")
	if l := defaultSizes(); l.refresh+time.Duration(l.bytes/l.roundBytes)*l.every > 65*time.Second || l.refresh+l.every > time.Minute {
		t.Errorf("with %+v an entry may be older than a minute", l)
	}
}

func TestEmptiedCatalogIsWholeAgain(t *testing.T) {
	redis := newClock(t)
	j := newSurveyed(t, redis.Addr(), nil)
	j.slice("a x", "b x")
	j.publishes("a 1 @100; b 1 @100")
	redis.FlushAll()
	redis.at(110)
	j.publishes("a 1 @110; b 1 @110")
}

// Redis that is away fails rounds, which are counted, and nothing else.
func TestCatalogWithoutRedis(t *testing.T) {
	redis := newClock(t)
	j := newSurveyed(t, redis.Addr(), nil)
	j.slice("a x")
	j.publishes("a 1 @100")
	redis.Close()
	before := valueOf(t, failures)
	j.slice("b x")
	j.round(t.Context())
	j.slice("a y")
	j.round(t.Context())
	if n := valueOf(t, failures) - before; n != 2 {
		t.Errorf("%v failures, want 2", n)
	}
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	redis.at(120)
	j.publishes("a 2 @120; b 1 @120")
	if n := strings.Count(j.log.String(), "cannot be published"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, &j.log)
	}
}

// A metric stays while its series are held, and goes with them.
func TestForgottenMetricLeavesTheCatalog(t *testing.T) {
	redis := newClock(t)
	j := newSurveyed(t, redis.Addr(), nil)
	j.slice("a x", "b x")
	j.publishes("a 1 @100; b 1 @100")
	for range testRetain - 1 {
		j.slice("b x")
	}
	j.publishes("a 1 @100; b 1 @100")
	for range 40 { // Sweeps are some slices apart.
		j.slice("b x")
	}
	redis.at(110)
	j.slice("b z")
	j.publishes("b 2 @110")
	j.slice("a x")
	j.publishes("a 1 @110; b 2 @110")
}

// Of a key group whose timers are silent nothing is said: it may be another process's.
func TestSilentKeyGroupIsNotPublished(t *testing.T) {
	redis := newClock(t)
	here := newSurveyed(t, redis.Addr(), nil)
	here.slice("a x")
	here.publishes("a 1 @100")
	there := newSurveyed(t, redis.Addr(), nil)
	there.slice("a x", "a y") // It was restored, and has got more.
	redis.at(110)
	there.publishes("a 2 @110")
	redis.at(120)
	here.sizes.aliveFor, here.sizes.refresh = 0, 0
	here.publishes("a 2 @110")
	here.sizes.aliveFor = time.Hour
	here.publishes("a 1 @120")
}

// A key group that was built anew does not hold what the former one did.
func TestKeyGroupBuiltAnew(t *testing.T) {
	redis := newClock(t)
	j := newSurveyed(t, redis.Addr(), nil)
	j.slice("a x", "b x", "c x")
	j.publishes("a 1 @100; b 1 @100; c 1 @100")
	j.build()
	j.slice("b x", "b y")
	// The other key group has begun too, without its metrics.
	redis.at(110)
	j.publishes("b 2 @110")
}

// The catalog is bounded, and says so.
func TestCatalogIsBounded(t *testing.T) {
	redis := newClock(t)
	j := newSurveyed(t, redis.Addr(), func(l *sizes) { l.metrics = 3 })
	j.slice("a x", "b x")
	j.publishes("a 1 @100; b 1 @100")
	other := newSurveyed(t, redis.Addr(), func(l *sizes) { l.metrics = 3 })
	other.slice("x 1", "y 1", "z 1")
	other.publishes("a 1 @100; b 1 @100; x 1 @100")
	if n := valueOf(t, leftOut); n != 2 || !strings.Contains(other.log.String(), "level=ERROR") || !strings.Contains(other.log.String(), "left_out=2") {
		t.Errorf("%v left out; the log says %s", n, &other.log)
	}
	// What is in already is refreshed, what goes makes room.
	redis.at(110)
	other.slice("x 2")
	other.publishes("a 1 @100; b 1 @100; x 2 @110")
	redis.HDel("catalog", "a")
	other.publishes("b 1 @100; x 2 @110; y 1 @110")
	redis.HDel("catalog", "b")
	other.publishes("x 2 @110; y 1 @110; z 1 @110")
	if n := valueOf(t, leftOut); n != 0 || !strings.Contains(other.log.String(), "has room again") {
		t.Errorf("%v left out; the log says %s", n, &other.log)
	}
	// One process does not hold more than there is room for.
	other.slice("u 1", "v 1", "w 1")
	other.round(t.Context())
	if n := valueOf(t, leftOut); len(other.held) != 3 || n != 3 {
		t.Errorf("%d held, %v left out", len(other.held), n)
	}
}

// Too many bytes: entries without values, then none.
func TestCatalogBytesAreBounded(t *testing.T) {
	redis := newClock(t)
	long := strings.Repeat("v", 250)
	j := newSurveyed(t, redis.Addr(), func(l *sizes) { l.bytes = 1280 })
	j.slice("a "+long, "b "+long, "c "+long, "d "+long)
	j.publishes("a 1 @100; b 1 @100; c 1 brief @100") // About 500, 500 and 250 bytes.
	var size int64
	for _, h := range j.held {
		size += h.size
	}
	if size != j.bytes || size > 1280 || valueOf(t, leftOut) == 0 {
		t.Errorf("%d bytes, counted as %d; %v left out", size, j.bytes, valueOf(t, leftOut))
	}
}

// A round writes so much and no more; those that waited longest come first.
func TestRoundIsBounded(t *testing.T) {
	redis := newClock(t)
	j := newSurveyed(t, redis.Addr(), func(l *sizes) { l.roundBytes = 1 })
	j.slice("a x", "b x", "c x")
	j.publishes("a 1 @100")
	redis.at(101)
	j.slice("a y", "b y", "c y")
	j.publishes("a 1 @100; b 2 @101")
	redis.at(102)
	j.publishes("a 1 @100; b 2 @101; c 2 @102")
	redis.at(103)
	j.publishes("a 2 @103; b 2 @101; c 2 @102")
}

// What nobody refreshes is removed after an hour, or when there is no room, after three minutes.
func TestStaleEntriesAreSwept(t *testing.T) {
	redis := newClock(t)
	redis.at(10_000)
	for _, tt := range []struct {
		room int
		want string
	}{
		{10, "a 1 @10000; fresh 0 @9900; hour 0 @6500"},
		{3, "a 1 @10000; fresh 0 @9900"},
	} {
		redis.FlushAll()
		for name, second := range map[string]int{"old": 6300, "hour": 6500, "fresh": 9900} {
			redis.HSet("catalog", name, fmt.Sprintf(`{"metric":%q,"updated":%d000}`, name, second))
		}
		j := newSurveyed(t, redis.Addr(), func(l *sizes) { l.metrics = tt.room })
		j.slice("a x")
		j.round(t.Context()) // What is swept in it makes room in the next one.
		j.round(t.Context())
		j.holds(tt.want)
	}
}

// stall passes bytes on to Redis until it is told to stop.
func stall(t *testing.T, to string) (addr string, stop func()) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := new(net.Dialer).Dial("tcp", to)
			if err != nil {
				t.Error(err)
				return
			}
			passing.Go(func() {
				b := make([]byte, 4096)
				for {
					n, err := in.Read(b)
					if err != nil {
						_ = out.Close()
						return
					}
					select {
					case <-stopped: // Swallowed: no answer ever comes.
					default:
						_, _ = out.Write(b[:n])
					}
				}
			})
			passing.Go(func() {
				_, _ = io.Copy(in, out)
				_ = in.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		passing.Wait()
	})
	return ln.Addr().String(), func() { close(stopped) }
}

// While Redis says nothing, slices pass: the round waits without any lock.
func TestSilentRedisHoldsNobody(t *testing.T) {
	redis := newClock(t)
	addr, stop := stall(t, redis.Addr())
	j := newSurveyed(t, addr, nil)
	j.slice("a x")
	j.publishes("a 1 @100")
	stop()
	before := valueOf(t, failures)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.round(ctx)
	}()
	for i := range 200 {
		j.slice(fmt.Sprint("a ", i))
		j.Survey(func(Survey) {})
	}
	select {
	case <-done:
		t.Error("the round ended: Redis was not silent")
	default:
	}
	cancel()
	<-done
	if n := valueOf(t, failures) - before; n != 0 {
		t.Errorf("%v failures, although the run was ended", n)
	}
	_ = j.store.Close()
}

// The whole of it: its goroutine publishes beside key groups that move, and ends with it.
func TestOpenPublishesTheCatalog(t *testing.T) {
	redis := miniredis.RunT(t)
	j := newSurveyed(t, redis.Addr(), nil)
	p, err := OpenPublisher(t.Context(), redisconn.At(redis.Addr()), j, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	limit := time.After(2 * time.Minute)
	for names := []string(nil); !slices.Equal(names, []string{"a", "b"}); {
		select {
		case <-time.After(time.Millisecond):
		case <-limit:
			t.Fatalf("the catalog holds %v", names)
		}
		j.slice("a x", "b x")
		names, _ = redis.HKeys("catalog")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

const hidden = "hidden"

// A hidden metric is aggregated like any other, and not published: it is not missing in the catalog either.
func TestCatalogWithoutWhatIsHidden(t *testing.T) {
	redis := newClock(t)
	j := newSurveyed(t, redis.Addr(), nil)
	j.slice("a x", hidden+" c", hidden+" d")
	j.publishes("a 1 @100")
	redis.at(131)
	j.slice(hidden + " c")
	j.round(t.Context())
	if n := valueOf(t, leftOut); n != 0 || strings.Contains(j.log.String(), "full") {
		t.Errorf("%v left out; log: %s", n, &j.log)
	}
	if n := valueOf(t, heldTotal); n != 2 {
		t.Errorf("%v metrics, want 2", n)
	}
}
