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
func TestMirror(t *testing.T) {
	m := miniredis.RunT(t)
	s, other := open(t, m), open(t, m)
	mirror := newMirror(t, s, "test")
	random := rand.New(rand.NewPCG(3, 4))
	want, changed := map[string]string{}, map[string]bool{}
	failed := 0
	for step := range 2000 {
		id := "d" + strconv.Itoa(random.IntN(8))
		if random.IntN(3) == 0 {
			delete(want, id)
		} else {
			want[id] = fmt.Sprint(step)
		}
		changed[id] = true
		m.SetError("")
		switch random.IntN(12) {
		case 0:
			m.FlushAll()
		case 1: // Another service, which has not seen the last changes.
			if err := other.PublishDashboards(t.Context(), docs("d1", "theirs")); err != nil {
				t.Fatal(err)
			}
		case 2:
			m.SetError("LOADING")
		}
		err := mirror.SyncDashboards(t.Context(), Wanted{Fields: want, Changed: keys(changed)})
		if err != nil {
			failed++
			continue
		}
		clear(changed)
		m.SetError("")
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
func TestMirrorWritesWhatChanged(t *testing.T) {
	m := miniredis.RunT(t)
	s := open(t, m)
	mirror := newMirror(t, s, "test")
	want := map[string]string{"a": "1", "b": "1"}
	sync := func(changed ...string) {
		t.Helper()
		if err := mirror.SyncDashboards(t.Context(), Wanted{Fields: want, Changed: changed}); err != nil {
			t.Fatal(err)
		}
	}
	sync()
	mirror.dashboards.whole = time.Now().Add(time.Hour)
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
	if got := receive(t, told); got != "b" {
		t.Errorf("told of %q, want b", got)
	}
	if has := hash(m, "dashboards"); has["a"] != "spoilt by hand" || has["b"] != "2" {
		t.Errorf("Redis has %v: only b was to be written", has)
	}
	mirror.dashboards.whole = time.Now()
	sync()
	if got := receive(t, told); got != "a" || m.HGet("dashboards", "a") != "1" {
		t.Errorf("told of %q, a is %q: the whole was to be compared", got, m.HGet("dashboards", "a"))
	}
	before, _ := m.Get("dashboards:version")
	sync()
	if after, _ := m.Get("dashboards:version"); after != before {
		t.Errorf("version %s became %s although nothing changed", before, after)
	}
}
