package registry

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func hash(m *miniredis.Miniredis, name string) map[string]string {
	out := make(map[string]string)
	keys, _ := m.HKeys(name) // None when there is no such hash.
	for _, k := range keys {
		out[k] = m.HGet(name, k)
	}
	return out
}

// Whatever happens to Redis in between, after a Sync that succeeded it holds what was wanted.
func TestReconciler(t *testing.T) {
	m := miniredis.RunT(t)
	s, other := open(t, m), open(t, m)
	reconciler := newReconciler(t, s, "test")
	random := rand.New(rand.NewPCG(3, 4))
	want, changed := map[string]string{}, map[string]bool{}
	queries, changedQueries := map[string]string{}, map[string]bool{}
	failed := 0
	for step := range 2000 {
		id := "d" + strconv.Itoa(random.IntN(8))
		if random.IntN(3) == 0 {
			delete(want, id)
		} else {
			want[id] = fmt.Sprint(step)
		}
		changed[id] = true
		if random.IntN(2) == 0 {
			queries[id], changedQueries[id] = fmt.Sprint(step), true
		}
		m.SetError("")
		switch random.IntN(12) {
		case 0:
			m.FlushAll()
		case 1: // Another service, which has not seen the last changes.
			if err := other.PublishViews(t.Context(), views("d1", 1)); err != nil {
				t.Fatal(err)
			}
		case 2:
			m.SetError("LOADING")
		}
		err := reconciler.Sync(t.Context(), Desired{queries, keys(changedQueries)}, Desired{want, keys(changed)})
		if err != nil {
			failed++
			continue
		}
		clear(changed)
		clear(changedQueries)
		m.SetError("")
		if has := hash(m, "queries"); !maps.Equal(has, queries) {
			t.Fatalf("step %d: Redis has the queries %v, want %v", step, has, queries)
		}
		if has := hash(m, "dashboards"); !maps.Equal(has, want) {
			t.Fatalf("step %d: Redis has %v, want %v", step, has, want)
		}
	}
	if failed == 0 || failed > 1000 {
		t.Errorf("%d of 2000 failed: the test lost its point", failed)
	}
}

func keys(m map[string]bool) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

// Only what changed is written and told, until the whole is due again.
func TestReconcilerWritesWhatChanged(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	reconciler := newReconciler(t, s, "test")
	want := map[string]string{"a": "1", "b": "1"}
	sync := func(changed ...string) {
		t.Helper()
		if err := reconciler.Sync(t.Context(), Desired{}, Desired{want, changed}); err != nil {
			t.Fatal(err)
		}
	}
	sync()
	reconciler.wholeAt = time.Now().Add(time.Hour)
	sub := m.NewSubscriber()
	defer sub.Close()
	sub.Subscribe("dashboards:changed")
	told := make(chan string, 10)
	go func() {
		for msg := range sub.Messages() {
			told <- msg.Message
		}
	}()

	m.HSet("dashboards", "a", "spoilt by hand")
	want["b"] = "2"
	sync("b")
	if got := receive(t, told); got != `{"version":2,"changed":["b"]}` {
		t.Errorf("notice %q, want b", got)
	}
	if has := hash(m, "dashboards"); has["a"] != "spoilt by hand" || has["b"] != "2" {
		t.Errorf("Redis has %v: only b was to be written", has)
	}
	reconciler.wholeAt = time.Now()
	sync()
	if got := receive(t, told); got != `{"version":3,"changed":["a"]}` || m.HGet("dashboards", "a") != "1" {
		t.Errorf("notice %q, a is %q: the whole was to be compared", got, m.HGet("dashboards", "a"))
	}
	before, _ := m.Get("dashboards:version")
	sync()
	if after, _ := m.Get("dashboards:version"); after != before {
		t.Errorf("version %s became %s although nothing changed", before, after)
	}
}
