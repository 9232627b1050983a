package transforms

import (
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"

	"pulseboard/aggregate"
)

// With a runner that keeps state, keyGroup is a cache of the stateLog of its key, in the process. What is trusted holds
// what the partials amount to, so a history is made of it, and no partial is read again.

// newSlideFn names the states. Names and forms are for ever: a job is restored by them.
func newSlideFn(o SlideOptions) *SlideFn {
	return &SlideFn{
		Options: o, Timer: timers.InEventTime("slice"),
		Head: state.MakeValueState[[]byte]("head"), Recent: state.MakeBagState[[]byte]("recent"),
		Log0: state.MakeBagState[[]byte]("log0"), Log1: state.MakeBagState[[]byte]("log1"),
		Log2: state.MakeBagState[[]byte]("log2"), Log3: state.MakeBagState[[]byte]("log3"),
		Log4: state.MakeBagState[[]byte]("log4"), Log5: state.MakeBagState[[]byte]("log5"),
		Log6: state.MakeBagState[[]byte]("log6"), Log7: state.MakeBagState[[]byte]("log7"),
	}
}

// log returns the state of a key group, in a bundle.
func (f *SlideFn) log(sp state.Provider, id int64) *stateLog {
	o := &f.Options
	l := &stateLog{
		head: beamValue{&f.Head, sp}, recent: beamBag{&f.Recent, sp},
		shape: logShape{sliceMs: o.SliceMs, retainMs: o.RetainMs, every: o.CompactEvery, turn: id},
	}
	for i, bag := range [generations]*state.Bag[[]byte]{&f.Log0, &f.Log1, &f.Log2, &f.Log3, &f.Log4, &f.Log5, &f.Log6, &f.Log7} {
		l.logs[i] = beamBag{bag, sp}
	}
	return l
}

// beamValue and beamBag are states of Beam's, in a bundle.
type (
	beamValue struct {
		state *state.Value[[]byte]
		sp    state.Provider
	}
	beamBag struct {
		state *state.Bag[[]byte]
		sp    state.Provider
	}
)

func (v beamValue) Read() (text []byte, written bool, err error) { return v.state.Read(v.sp) }

func (v beamValue) Write(text []byte) error { return v.state.Write(v.sp, text) }

func (b beamBag) Read() (texts [][]byte, err error) {
	texts, _, err = b.state.Read(b.sp)
	return texts, err
}

func (b beamBag) Add(text []byte) error { return b.state.Add(b.sp, text) }

func (b beamBag) Clear() error { return b.state.Clear(b.sp) }

// load returns the working form of a key group, as state has it.
func (g *Groups) load(log *stateLog, id int64, o SlideOptions) (*keyGroup, error) {
	k := g.of(id, o)
	k.mu.Lock()
	trusted := k.head.nonce
	k.mu.Unlock()
	h, cached, err := log.load(trusted)
	if err != nil || cached {
		return k, err
	}
	k = g.replace(id, o)
	if h.nonce == (nonce{}) {
		return k, nil // The state is that of before the first write.
	}
	rebuilds.Inc()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.head, k.end = h, h.end
	k.store.RestoreLosses(h.losses)
	if err := log.replay(k.restore); err != nil {
		return nil, err
	}
	k.since = h.since
	return k, nil
}

// restore takes over what was logged; recent says that it is in no history yet.
func (k *keyGroup) restore(l logged, recent bool) error {
	if aggregate.IsHistory(l.table) {
		if err := k.store.RestoreHistory(l.table, aggregate.Div(l.end, k.options.SliceMs)-1); err != nil {
			return fmt.Errorf("%w: %w", ErrState, err)
		}
		return nil
	}
	t, err := aggregate.DecodeTable(l.table)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrState, err)
	case l.end > k.end:
		k.add(l.end, Partial{CoveredSince: l.since, Table: t})
		return nil
	}
	k.store.Restore(t)
	if recent {
		k.keepLate(t)
	}
	return nil
}

// keep logs a partial, gives it to the working form, and writes what state has to say of both.
func (k *keyGroup) keep(log *stateLog, end int64, p Partial) error {
	err := log.append(logged{end, p.CoveredSince, p.encodedTable()})
	k.add(end, p)
	if err == nil && log.isDue(&k.head, end) {
		if err = log.compact(&k.head, end, k.snapshot()); err == nil {
			k.late = nil
		}
	}
	if err == nil {
		err = k.save(log)
	}
	if err != nil {
		k.head.nonce = newNonce() // It has what the state has not.
	}
	return err
}

func (k *keyGroup) snapshot() snapshot {
	return snapshot{
		end: k.end, since: k.since, late: k.late, pending: k.pending,
		history: func(after, upTo int64) ([]byte, int) { return k.store.AppendHistory(nil, after, upTo) },
	}
}

// staleSlices is how far the evaluation may be ahead of what state says of it. It
// is written with each partial; between them it is worth a request only now and
// then. A key group that goes back evaluates again what readers have, and they
// refuse; a cache that is ahead has the same partials.
const staleSlices = 32

// save writes what else has changed, and a new nonce.
func (k *keyGroup) save(log *stateLog) error {
	k.head.end, k.head.since, k.head.losses = k.end, k.since, k.store.Losses()
	return log.save(&k.head)
}
