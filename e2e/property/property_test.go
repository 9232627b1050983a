package property_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/registry"
	"pulseboard/wire"
)

// onFlink reports whether the pipeline runs on Flink: with real servers it does,
// unless PROPERTY_RUNNER says prism.
func onFlink() bool { return testenv.Real() && os.Getenv("PROPERTY_RUNNER") != "prism" }

// start starts the pipeline; dir is what it finds again after its end.
func start(t *testing.T, path, dir, kafka, redis string, log *testenv.Buffer) *testenv.Program {
	t.Helper()
	args := []string{"--kafka", kafka, "--redis", redis, "--bound", fmt.Sprintf("%dms", boundMs), "--ha-tag", agentTag}
	if onFlink() {
		args = append([]string{"flink-local", "--flink-jars", testenv.FlinkJars(), "--dir", dir, "--checkpoint-interval", "2s", "--worker-logs", filepath.Join(dir, "log")}, args...)
	}
	return testenv.Start(t, log, path, args...)
}

// ownLines leaves out what Java says, which hides everything else, and all but the last lines.
func ownLines(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return !strings.HasPrefix(l, "time=") })
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// plan is the size of a case.
type plan struct {
	seed    uint64
	traffic time.Duration
	kills   []time.Duration // How long the pipeline is down, each time.

	long     bool // Fewer events and edits, so that much of it can be compared.
	byBroker bool // The topic has LogAppendTime.
	beside   func(w *world) (stop func() error)
}

// play runs a case and returns what its check says.
func play(t *testing.T, binary string, p plan) (*checker, error) {
	t.Helper()
	t.Logf("seed %d, %v of traffic, pipeline killed for %v", p.seed, p.traffic, p.kills)
	w := newWorld(t, &p)
	w.past()
	redis := testenv.Redis(t)
	state := t.TempDir()
	queries := newQueries(t, w, redis)
	for range 17 {
		queries.add()
	}
	queries.publish()
	c := &checker{addr: w.addr, watch: newWatch(t, redis), demands: queries.all, changed: queries.changed, removed: queries.removed}
	log := new(testenv.Buffer)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the pipeline's own lines:\n%s", testenv.Page(ownLines(log.String())))
			files, _ := filepath.Glob(filepath.Join(state, "log", "*")) // The pattern is right.
			for _, f := range files {
				text, _ := os.ReadFile(f)
				t.Logf("%s:\n%s", filepath.Base(f), testenv.Page(ownLines(string(text))))
			}
		}
	})
	again := func() *testenv.Program { return start(t, binary, state, w.addr, redis, log) }
	pipeline := again()

	others := []func() error{startForeigners(t, &p, w.addr).stop}
	if p.beside != nil {
		others = append(others, p.beside(w))
	}
	chance := rand.New(rand.NewPCG(p.seed, 2))
	begun := time.Now()
	betweenKills := p.traffic / time.Duration(len(p.kills)+1)
	nextKill, backAt := betweenKills, time.Time{}
	nextEdit, betweenEdits := time.Second, time.Second
	if p.long {
		betweenEdits = 10 * time.Second
	}
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for now := begun; now.Sub(begun) < p.traffic; now = <-ticks.C {
		w.round(now)
		if pipeline == nil && now.After(backAt) {
			pipeline = again()
		}
		if len(p.kills) > 0 && pipeline != nil && now.Sub(begun) > nextKill {
			pipeline.Kill()
			pipeline, backAt = nil, now.Add(p.kills[0])
			p.kills = p.kills[1:]
			nextKill += betweenKills + time.Duration(chance.Int64N(int64(time.Second)))
		}
		if now.Sub(begun) > nextEdit {
			nextEdit += betweenEdits + time.Duration(chance.Int64N(int64(2*betweenEdits)))
			queries.edit()
		}
	}
	if pipeline == nil {
		pipeline = again()
	}
	// A partition must not fall silent before they have ended: a slow clock is overtaken there.
	ended := make(chan error, 1)
	go func() {
		var errs []error
		for _, stop := range others {
			errs = append(errs, stop())
		}
		ended <- errors.Join(errs...)
	}()
	for ending := true; ending; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			ending = false
		case now := <-ticks.C:
			w.round(now)
		}
	}
	end := time.Now().UnixMilli() + 2000 // The last windows with something to see.
	for limit := time.Now().Add(5 * time.Minute); ; <-ticks.C {
		if behind := queries.behind(c.watch, end); behind == "" {
			break
		} else if time.Now().After(limit) {
			return c, fmt.Errorf("%s has not come to the end of the traffic", behind)
		}
	}
	pipeline.Kill()
	c.watch.read(t.Context())
	c.log = readLog(t, w.addr)
	return c, c.run()
}

// queries is the registry's content, which changes while the pipeline runs.
type queries struct {
	t       *testing.T
	world   *world
	store   *registry.Store
	all     map[string]*demand // All that ever were; none comes back.
	active  []*demand
	changed map[string]bool
	removed map[string]bool
}

func newQueries(t *testing.T, w *world, addr string) *queries {
	t.Helper()
	store, err := registry.Open(t.Context(), redisconn.At(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return &queries{t: t, world: w, store: store, all: map[string]*demand{}, changed: map[string]bool{}, removed: map[string]bool{}}
}

func (q *queries) add() {
	for {
		if d := q.world.demand(); q.all[d.key] == nil {
			q.all[d.key] = d
			q.active = append(q.active, d)
			return
		}
	}
}

// maxQueries bounds what a long run computes and compares.
const maxQueries = 40

func (q *queries) edit() {
	q.add()
	q.add()
	q.remove()
	for len(q.active) > maxQueries {
		q.remove()
	}
	d := q.active[q.world.rand.IntN(len(q.active))]
	d.refresh = []int64{1000, d.refresh[0]}
	slices.Sort(d.refresh)
	d.refresh = slices.Compact(d.refresh)
	d.entry.RefreshMs = d.refresh
	q.changed[d.key] = true
	q.publish()
}

func (q *queries) remove() {
	i := q.world.rand.IntN(len(q.active))
	q.removed[q.active[i].key] = true
	q.active = slices.Delete(q.active, i, i+1)
}

func (q *queries) publish() {
	q.t.Helper()
	entries := map[string]wire.QueryEntry{}
	for _, d := range q.active {
		entries[d.key] = d.entry
	}
	if err := q.store.Publish(q.t.Context(), entries); err != nil {
		q.t.Fatal(err)
	}
}

// behind names a history that has not come to end yet.
func (q *queries) behind(w *watch, end int64) string {
	for _, d := range q.active {
		for _, r := range d.refresh {
			stream := fmt.Sprintf("history:%s@%d", d.key, r)
			if w.newestOf(stream) < end-r {
				return stream
			}
		}
	}
	return ""
}

// environment reads a number that "make verify" sets for the long form.
func environment(name string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// Random events, orders, lateness, duplicates, silent partitions, queries that
// come, change and go, and kill -9 of the pipeline: every history entry and every
// message equals the log. PROPERTY_SEED repeats a case; PROPERTY_SECONDS makes it longer.
func TestEveryResultIsAFunctionOfTheLog(t *testing.T) {
	seed := uint64(environment("PROPERTY_SEED", 1))
	seconds := int64(24)
	if onFlink() {
		seconds = 36 // Java takes ten of them to begin, three times, where others use the cores too.
	}
	traffic := time.Duration(environment("PROPERTY_SECONDS", seconds)) * time.Second
	chance := rand.New(rand.NewPCG(seed, 3))
	kills := []time.Duration{time.Duration(chance.Int64N(int64(time.Second))), time.Second + time.Duration(chance.Int64N(int64(4*time.Second)))}
	if traffic >= 3*time.Minute {
		kills = append(kills, time.Minute, 5*time.Second)
	}
	c, err := play(t, testenv.Build(t, "pipeline"), plan{seed: seed, traffic: traffic, kills: kills})
	if err != nil {
		t.Fatal(err)
	}
	c.report(t)
	l := c.log
	switch late := l.late(); {
	case l.committed == 0 || l.aborted == 0 || l.ahead == 0 || l.slow == 0:
		t.Error("a kind of producer was missing")
	case c.values < 3000 || c.messages < 100 || c.percentiles == 0 || c.increases == 0 || c.histograms == 0:
		t.Error("too little was compared")
	case 20*late < l.sent || c.lateCounted == 0:
		t.Error("less than 5 % of the events were late, or none was counted")
	case l.leftOut == 0 || l.leftOut*5 < len(l.events[paired]):
		t.Errorf("%d samples of a second agent beside %d that count", l.leftOut, len(l.events[paired]))
	case l.duplicate == 0 || l.tooLate == 0 || l.future == 0 || l.bad == 0 || c.incomplete == 0:
		t.Error("a kind of event was missing")
	case 10*c.overtaken > c.entries:
		t.Errorf("%d of %d entries needed the tolerance for overtaken records", c.overtaken, c.entries)
	}
}

// report tells what was compared.
func (c *checker) report(t *testing.T) {
	t.Helper()
	l := c.log
	t.Logf("%d history entries with %d values (%d percentiles, %d increases, %d of histograms) and %d messages equal the log of %d events: %d exactly, %d filled in later, %d lack an overtaken record, %d incomplete",
		c.entries, c.values, c.percentiles, c.increases, c.histograms, c.messages, l.sent, c.exact, c.filled, c.overtaken, c.incomplete)
	t.Logf("%d events were late by 1 to 51 s and counted %d times; %d records were duplicates; %d events too late, %d of the future, %d bad", l.late(), c.lateCounted, l.duplicate, l.tooLate, l.future, l.bad)
	t.Logf("%d records of transactions were committed and %d aborted; %d had a clock far ahead, %d one far behind", l.committed, l.aborted, l.ahead, l.slow)
}
