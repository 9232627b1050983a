package sinks

import (
	"log/slog"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/redis/go-redis/v9"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/results"
)

// theater is a publisher before a master with a replica, behind one address.
type theater struct {
	*stage
	door            *testenv.Switch
	master, replica *redis.Client
	replicaAddr     string
}

func newTheater(t *testing.T) *theater {
	t.Helper()
	testenv.NeedRedis(t)
	_, master := testenv.StartRedisWith(t, "port "+testenv.RedisPort)
	_, replica := testenv.StartRedisWith(t, "port "+testenv.RedisPort+"\nreplicaof 127.0.0.1 "+master[strings.LastIndex(master, ":")+1:])
	th := &theater{
		stage: &stage{t: t, log: nil}, door: testenv.NewSwitch(t, master), replicaAddr: replica,
		master: redis.NewClient(&redis.Options{Addr: master}), replica: redis.NewClient(&redis.Options{Addr: replica}),
	}
	t.Cleanup(func() { _, _ = th.master.Close(), th.replica.Close() })
	store, err := results.Open(t.Context(), redisconn.At(th.door.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	th.store = store
	log := new(testenv.Buffer)
	of := computed{"a:sum:1s": {1000}, "b:sum:1s": {1000}, "c:sum:1s": {1000}}
	th.p = newPublisher(t.Context(), store, of, slog.New(slog.NewTextHandler(log, nil)))
	th.p.look(t.Context())
	return th
}

// lag waits until the replica has all that the master has, and stops there.
func (th *theater) lag() {
	th.t.Helper()
	for th.t.Context().Err() == nil {
		if n, err := th.master.Wait(th.t.Context(), 1, 0).Result(); err != nil {
			th.t.Fatal(err)
		} else if n == 1 {
			break
		}
	}
	if err := th.replica.Do(th.t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		th.t.Fatal(err)
	}
}

// backfill does what the backfiller does: results from the newest end on that Redis has, up to one.
func (th *theater) backfill(to int64, keys ...string) {
	th.t.Helper()
	r := backfilling{th.p}
	for _, key := range keys {
		tips, err := r.Tips(th.t.Context(), key, []int64{1000})
		if err != nil {
			th.t.Fatal(err)
		}
		var pubs []results.Publication
		for end := tips[1000] + 1000; end <= to; end += 1000 {
			pubs = append(pubs, results.Publication{Result: result(key, end)})
		}
		if len(pubs) > 0 {
			if err := r.Write(th.t.Context(), pubs); err != nil {
				th.t.Fatal(err)
			}
		}
		r.Done(key)
	}
}

// A replica that lags is promoted between two results: nothing newer gets into its
// histories before what is missing was noticed, and those that lack nothing go on at once.
func TestALaggingReplicaIsPromoted(t *testing.T) {
	th := newTheater(t)
	went := timesBack(t)
	th.live(1000, "a:sum:1s", "b:sum:1s")
	th.live(2000, "a:sum:1s", "b:sum:1s")
	th.lag()
	th.live(3000, "a:sum:1s")
	th.live(4000, "a:sum:1s")
	th.door.To(th.replicaAddr)
	// Some of its commands may fail with the connections; then another look follows, as watch has it.
	for end := int64(5000); end <= 7000; end += 1000 {
		th.live(end, "a:sum:1s")
		if got := th.ends("a:sum:1s"); got != "[1 2]" {
			t.Fatalf("before anybody looked the promoted replica has %s", got)
		}
	}
	for th.p.away || th.p.doubt {
		th.p.look(t.Context())
	}
	if th.p.behind["a:sum:1s"] == nil || th.p.behind["b:sum:1s"] != nil {
		t.Errorf("behind are %v; a lacks results, and b does not", th.p.behind)
	}
	if n := timesBack(t) - went; n != 1 {
		t.Errorf("it is counted %v times", n)
	}
	th.backfill(7000, "a:sum:1s")
	th.live(8000, "a:sum:1s", "b:sum:1s")
	if a, b := th.ends("a:sum:1s"), th.ends("b:sum:1s"); a != "[1 2 3 4 5 6 7 8]" || b != "[1 2 8]" {
		t.Errorf("the histories are %s and %s", a, b)
	}
}

// One that is in step costs nobody anything.
func TestAReplicaInStepIsPromoted(t *testing.T) {
	th := newTheater(t)
	went := timesBack(t)
	th.live(1000, "a:sum:1s", "b:sum:1s")
	th.lag()
	th.door.To(th.replicaAddr)
	for again := true; again; again = th.p.away || th.p.doubt {
		th.p.look(t.Context())
	}
	th.live(2000, "b:sum:1s")
	if len(th.p.behind) > 0 || timesBack(t) != went || th.ends("b:sum:1s") != "[1 2]" {
		t.Errorf("behind %v, went back %v times, the history is %s", th.p.behind, timesBack(t)-went, th.ends("b:sum:1s"))
	}
}

// The same where no connection was cut, as of a server that loads an older file: the count tells.
func TestRedisGoesBackUnseen(t *testing.T) {
	s := newStage(t)
	s.p.histories = computed{"a:sum:1s": {1000}}
	s.live(1000, "a:sum:1s")
	older := s.copy()
	s.live(2000, "a:sum:1s")
	s.restore(older)
	s.live(3000, "a:sum:1s")
	if got := s.ends("a:sum:1s"); got != "[1]" {
		t.Fatalf("the history is %s: it has a gap", got)
	}
	s.p.look(t.Context())
	if s.p.behind["a:sum:1s"] == nil || !strings.Contains(s.log.String(), "had acknowledged") {
		t.Errorf("behind %v; the log says:\n%s", s.p.behind, s.log)
	}
}

// copied is all strings and streams of a Redis.
type copied struct {
	texts   map[string]string
	streams map[string][]redis.XMessage
}

func (s *stage) client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.redis.Addr()})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *stage) copy() copied {
	s.t.Helper()
	c, all := s.client(), copied{make(map[string]string), make(map[string][]redis.XMessage)}
	for _, key := range s.redis.Keys() {
		var err error
		if s.redis.Type(key) == "stream" {
			all.streams[key], err = c.XRange(s.t.Context(), key, "-", "+").Result()
		} else {
			all.texts[key], err = c.Get(s.t.Context(), key).Result()
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return all
}

func (s *stage) restore(all copied) {
	s.t.Helper()
	s.redis.FlushAll()
	c := s.client()
	for key, text := range all.texts {
		if err := c.Set(s.t.Context(), key, text, 0).Err(); err != nil {
			s.t.Fatal(err)
		}
	}
	for key, entries := range all.streams {
		for _, e := range entries {
			if err := c.XAdd(s.t.Context(), &redis.XAddArgs{Stream: key, ID: e.ID, Values: e.Values}).Err(); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// timesBack is how often it was noticed that Redis went back.
func timesBack(t *testing.T) float64 {
	t.Helper()
	var m dto.Metric
	if err := wentBack.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}
