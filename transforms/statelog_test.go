package transforms

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pulseboard/aggregate"
)

// fakeState is the state of one key, without a runner. Writes fail from the one on whose number is failAt.
type fakeState struct {
	value  []byte
	bags   [1 + generations][][]byte
	writes int
	failAt int // 0 = never.
}

var errFake = errors.New("the runner is gone")

func (s *fakeState) write() error {
	if s.writes++; s.failAt > 0 && s.writes >= s.failAt {
		return errFake
	}
	return nil
}

// clone is what a runner keeps of it: a checkpoint.
func (s *fakeState) clone() *fakeState {
	c := &fakeState{value: slices.Clone(s.value), writes: s.writes, failAt: s.failAt}
	for i, bag := range s.bags {
		c.bags[i] = slices.Clone(bag)
	}
	return c
}

type fakeValue struct{ *fakeState }

func (v fakeValue) Read() ([]byte, bool, error) { return v.value, v.value != nil, nil }

func (v fakeValue) Write(text []byte) error {
	err := v.write()
	if err == nil {
		v.value = text
	}
	return err
}

type fakeBag struct {
	*fakeState
	i int
}

func (b fakeBag) Read() ([][]byte, error) { return b.bags[b.i], nil }

func (b fakeBag) Add(text []byte) error {
	err := b.write()
	if err == nil {
		b.bags[b.i] = append(b.bags[b.i], text)
	}
	return err
}

func (b fakeBag) Clear() error {
	err := b.write()
	if err == nil {
		b.bags[b.i] = nil
	}
	return err
}

// durableGroup is a key group whose runner keeps state, driven slice by slice.
type durableGroup struct {
	t      *testing.T
	o      SlideOptions
	groups *Groups
	state  *fakeState
}

func newDurableGroup(t *testing.T) *durableGroup {
	t.Helper()
	o := SlideOptions{SliceMs: 1000, KeyGroups: 1, RetainMs: 40_000, AheadMs: 3000, Durable: true, CompactEvery: 5}
	return &durableGroup{t, o, newGroups(), new(fakeState)}
}

func (d *durableGroup) log() *stateLog {
	l := &stateLog{
		head: fakeValue{d.state}, recent: fakeBag{d.state, generations},
		shape: logShape{sliceMs: d.o.SliceMs, retainMs: d.o.RetainMs, every: d.o.CompactEvery},
	}
	for i := range l.logs {
		l.logs[i] = fakeBag{d.state, i}
	}
	return l
}

func (d *durableGroup) load() *keyGroup {
	d.t.Helper()
	k, err := d.groups.load(d.log(), 0, d.o)
	if err != nil {
		d.t.Fatal(err)
	}
	return k
}

// slice keeps the partial of a second, some of whose events are late or ahead, and evaluates now and then.
func (d *durableGroup) slice(second int64) error {
	r := rand.New(rand.NewPCG(uint64(second), 3)) // The same whenever it is tried again.
	p := Partial{Table: aggregate.Table{}}
	for range 1 + r.IntN(4) {
		at := max(0, second-r.Int64N(1+r.Int64N(30))+r.Int64N(3))
		p.Table.Add(at, aggregate.NewName("m", fmt.Sprint("s", r.IntN(3))), float64(r.IntN(1000)), at*1000)
	}
	k := d.load()
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.keep(d.log(), (second+1)*1000, p)
	if err == nil && second%3 != 0 {
		k.advance((second + 1) * 1000)
	}
	return err
}

const logSlices = 120

// holds returns what the key group holds of the retention, by series: what is older may be forgotten or not.
func (d *durableGroup) holds() map[string][]aggregate.Acc {
	d.t.Helper()
	k := d.load()
	k.advance((logSlices + 1) * 1000)
	held := everything(k, logSlices+10)
	for series := range held {
		held[series] = held[series][logSlices-d.o.RetainMs/1000+2:]
	}
	return held
}

// whole has had all slices, without any failure.
func whole(t *testing.T) *durableGroup {
	t.Helper()
	d := newDurableGroup(t)
	for second := range int64(logSlices) {
		if err := d.slice(second); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// Whichever write of a bundle fails (a partial, any step of a history, the head), and whether the process with its cache is
// lost as well: what the state was before that bundle and the bundle tried again give the same.
func TestStateLogWithAFailureAtEachWrite(t *testing.T) {
	undisturbed := whole(t)
	writes, want := undisturbed.state.writes, undisturbed.holds()
	for failAt := 1; failAt <= writes; failAt += 3 {
		for _, lost := range []bool{false, true} {
			d := newDurableGroup(t)
			d.state.failAt = failAt
			failed := false
			for second := int64(0); second < logSlices; second++ {
				before := d.state.clone()
				if err := d.slice(second); err == nil {
					continue
				} else if !errors.Is(err, errFake) || failed {
					t.Fatal(err)
				}
				failed = true
				before.failAt = 0
				if d.state = before; lost {
					d.groups = newGroups()
				}
				second--
			}
			if got := d.holds(); !failed || !reflect.DeepEqual(got, want) {
				t.Fatalf("with write %d failing (%v) and the cache lost (%v) it holds\n%v\nwant\n%v", failAt, failed, lost, got, want)
			}
		}
	}
}

// A state that is older than the cache, as after a restored checkpoint, is read anew; one that equals it is not.
func TestStateLogKnowsAnotherTime(t *testing.T) {
	d := newDurableGroup(t)
	var checkpoint *fakeState
	for second := range int64(30) {
		if second == 20 {
			checkpoint = d.state.clone()
		}
		if err := d.slice(second); err != nil {
			t.Fatal(err)
		}
	}
	k := d.load()
	if d.load() != k {
		t.Error("a cache that has what the state has is read anew")
	}
	d.state = checkpoint
	older := d.load()
	if older == k || older.end != d.load().end || older.end > 20_000 {
		t.Errorf("with a state of the slice 20 the key group is at %d", older.end)
	}
	d.groups = newGroups()
	if lost := d.load(); !reflect.DeepEqual(everything(lost, 50), everything(older, 50)) {
		t.Error("what is read anew depends on what was cached before")
	}
}

// The logs stay short, whatever the number of slices, and are replayed in their order.
func TestStateLogIsCompacted(t *testing.T) {
	d := whole(t)
	n := 0
	for _, bag := range d.state.bags {
		n += len(bag)
	}
	// Those since the last history, and two entries for each five slices of the retention and its generations.
	if most := 5 + 3 + 2*(40+2*7)/5 + 2; n > most {
		t.Errorf("%d entries are kept of %d slices, want at most %d", n, logSlices, most)
	}
	var ends []int64
	begun := -1
	if err := d.log().replay(func(e logged, recent bool) error {
		if recent && begun < 0 {
			begun = len(ends)
		}
		ends = append(ends, e.end)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if begun <= 0 || !slices.IsSorted(ends[:begun]) || !slices.IsSorted(ends[begun:]) {
		t.Errorf("replayed the ends %v, those from %d on as recent", ends, begun)
	}
}

// What another version has written, or what is damaged, is refused, not taken for less.
func TestStateLogOfAnotherVersion(t *testing.T) {
	for name, damage := range map[string]func(*fakeState){
		"a head of another version": func(s *fakeState) { s.value[0]++ },
		"a head that is cut":        func(s *fakeState) { s.value = s.value[:len(s.value)-1] },
		"a partial that is cut":     func(s *fakeState) { s.bags[generations][0] = s.bags[generations][0][:1] },
		"a table that is cut": func(s *fakeState) {
			s.bags[generations][0] = s.bags[generations][0][:len(s.bags[generations][0])-1]
		},
	} {
		d := newDurableGroup(t)
		for second := range int64(12) {
			if err := d.slice(second); err != nil {
				t.Fatal(err)
			}
		}
		damage(d.state)
		d.groups = newGroups()
		if _, err := d.groups.load(d.log(), 0, d.o); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
