package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/metric"
	"pulseboard/wire"
)

// A follower has what Redis has, whatever happens in between, as soon as it has
// looked for everything that it could hear: notices in bursts, connections that
// break with notices on their way, Redis emptied, looks that fail.
func TestFollowerHasWhatRedisHas(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	reconciler := newReconciler(t, s, "test")
	sub := m.NewSubscriber()
	defer sub.Close()
	sub.Subscribe("queries:changed")
	heard := make(chan string, 10)
	go func() {
		for msg := range sub.Messages() {
			heard <- msg.Message
		}
	}()
	var n wire.Notice // The last one that was heard.
	random := rand.New(rand.NewPCG(5, 6))
	var f followedSet
	var failed trigger
	box := mailbox{ready: make(chan struct{}, 1)}
	want, named, failures := map[string]string{}, 0, 0
	for step := range 3000 {
		q := metric.Query{Metric: fmt.Sprint("m", random.IntN(10)), Aggregation: metric.Avg, WindowSeconds: 60}
		key := q.Key()
		if random.IntN(3) == 0 {
			delete(want, key)
		} else {
			want[key], _ = wire.EncodeQuery(key, wire.QueryEntry{Query: q, RefreshMs: []int64{int64(1 + random.IntN(5))}})
		}
		if random.IntN(50) == 0 {
			m.FlushAll()
		}
		if err := reconciler.Sync(t.Context(), Desired{want, []string{key}}, Desired{}); err != nil {
			t.Fatal(err)
		}
		for n.Version != reconciler.versions[0] {
			text := receive(t, heard)
			if n = (wire.Notice{}); json.Unmarshal([]byte(text), &n) != nil {
				t.Fatal(text)
			}
			box.put(text)
		}
		switch random.IntN(20) {
		case 0: // The connection broke: what was on its way is lost, and the follower subscribes again.
			box.take()
			box.resubscribed()
		case 1, 2:
			continue // More comes before it looks.
		case 3:
			m.SetError("LOADING")
		}
		why := failed.and(box.take())
		if why.continues(f.set.Version) {
			named++
		}
		_, err := f.look(t.Context(), s, why)
		m.SetError("")
		if failed = (trigger{}); err != nil {
			failures++
			failed = why
			continue
		}
		all, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(f.set.Entries, all.Entries) || !maps.Equal(f.fields, hash(m, "queries")) {
			t.Fatalf("step %d: the follower has\n%+v\nRedis has\n%+v", step, f.set, all)
		}
	}
	if named < 1000 || failures == 0 {
		t.Errorf("%d of 3000 looks were for named fields, %d failed: the test lost its point", named, failures)
	}
}

// A notice costs the fields that it names; a gap, a Redis that counts anew and the
// time cost everything.
func TestFollowerReadsWhatNoticesName(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	a, b := entry("a", 1000), entry("b", 1000)
	if err := s.Publish(t.Context(), entries(a, b)); err != nil {
		t.Fatal(err)
	}
	var f followedSet
	look := func(why trigger) int64 {
		t.Helper()
		if _, err := f.look(t.Context(), s, why); err != nil {
			t.Fatal(err)
		}
		return f.set.Entries[b.Query.Key()].RefreshMs[0]
	}
	look(trigger{poll: true})
	f.readAt = time.Now().Add(time.Hour)
	// Where b is read, everything was.
	spoilt, err := wire.EncodeQuery(b.Query.Key(), entry("b", 7))
	if err != nil {
		t.Fatal(err)
	}
	m.HSet("queries", b.Query.Key(), spoilt)
	if _, err := m.Incr("queries:version", 1); err != nil {
		t.Fatal(err)
	}
	one := []string{a.Query.Key()}
	for _, c := range []struct {
		name string
		why  trigger
		all  bool
	}{
		{"the next notice", trigger{names: one, first: 2, last: 2}, false},
		{"a poll that finds nothing new", trigger{poll: true}, false},
		{"a notice of the past", trigger{names: one, first: 1, last: 1}, true},
		{"a gap", trigger{names: one, first: 4, last: 4}, true},
		{"notices that Redis has forgotten", trigger{names: one, first: 3, last: 3}, true},
		{"a subscription", trigger{all: true}, true},
	} {
		before := f
		if got := look(c.why); (got == 7) != c.all {
			t.Errorf("%s: everything was read: %t, want %t", c.name, got == 7, c.all)
		}
		if f = before; f.set.Version == 1 {
			f.set.Version = 2
		}
	}
	f.readAt = time.Now()
	if got := look(trigger{poll: true}); got != 7 {
		t.Error("everything was to be read again")
	}
}

// Notices that follow each other are one, others are a gap.
func TestTriggersAreJoined(t *testing.T) {
	box := mailbox{ready: make(chan struct{}, 1)}
	box.put(wire.EncodeNotice(5, []string{"a"}))
	box.put(wire.EncodeNotice(6, nil))
	box.put(wire.EncodeNotice(7, []string{"b", "a"}))
	if why := box.take(); !why.continues(4) || why.continues(5) || why.last != 7 || fmt.Sprint(why.names) != "[a b a]" {
		t.Errorf("%+v", why)
	}
	for name, put := range map[string]func(){
		"a gap":             func() { box.put(wire.EncodeNotice(7, []string{})) },
		"a counter anew":    func() { box.put(wire.EncodeNotice(1, []string{})) },
		"a subscription":    box.resubscribed,
		"too much to name":  func() { box.put(wire.EncodeNotice(6, make([]string, wire.MaxNamed+1))) },
		"of another format": func() { box.put("6") },
	} {
		box.put(wire.EncodeNotice(5, []string{"a"}))
		put()
		if why := box.take(); !why.all || why.continues(4) {
			t.Errorf("%s: %+v", name, why)
		}
	}
	if why := box.take(); !reflect.DeepEqual(why, trigger{}) {
		t.Errorf("%+v is left", why)
	}
}
