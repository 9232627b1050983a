package transforms

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"

	"pulseboard/aggregate"
)

// A runner that keeps state holds, of each key group and consistent with the
// offsets of the source, the packets of all slices of pipeline time that a window
// may still need, and how far they were evaluated.
//
// Packets are logged as they come. Once in a while the slices that are over become
// one history, in which the name of a series stands once for all its slices, in a
// log of its generation: a generation is cleared as a whole when its turn comes
// again, so that nothing is written more than twice. What comes late for slices
// that a history has already is logged beside the next one.
//
// The working form, keyGroup, is a cache of it in the process, trusted only while
// its nonce, which changes with each write, is the one in state: a bundle that is
// tried again, or a restored checkpoint, finds another, and the cache is built
// anew. A counter would not do: after a restore it could reach the value of the
// cache that is not trusted. What is trusted holds what the packets amount to, so
// a history is made of it, and no packet is read again.

// generations is how many logs there are. One is being written, the others hold the retention.
const generations = 8

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

func (f *SlideFn) log(generation int64) *state.Bag[[]byte] {
	logs := [generations]*state.Bag[[]byte]{&f.Log0, &f.Log1, &f.Log2, &f.Log3, &f.Log4, &f.Log5, &f.Log6, &f.Log7}
	return logs[((generation%generations)+generations)%generations]
}

// head is what is kept besides packets, in one value: each access to state is a request.
type head struct {
	nonce      [nonceLength]byte
	end        int64 // Evaluated up to here.
	since      int64
	generation int64 // The newest that was written.
	compacted  int64 // The end of the packet at which a history was made last.
	packed     int64 // The newest slice that a history has.
	begun      bool  // generation is known.

	losses aggregate.Losses
}

const (
	headVersion = 3
	nonceLength = 16

	nothingPacked = math.MinInt64 / 2
)

func (h *head) numbers() []*int64 {
	return []*int64{&h.end, &h.since, &h.generation, &h.compacted, &h.packed, &h.losses.Forgotten, &h.losses.Dropped}
}

func (h head) encode() []byte {
	b := []byte{headVersion, 0}
	if h.begun {
		b[1] = 1
	}
	b = append(b, h.nonce[:]...)
	for _, v := range h.numbers() {
		b = binary.AppendVarint(b, *v)
	}
	return b
}

// ErrState says that what a job is restored from is of another version, or damaged.
var ErrState = errors.New("the state of this job cannot be read: cancel it, empty the folder of checkpoints and submit it again " +
	`(docs/operations.md, "Upgrade"); windows are read anew from Kafka then`)

func decodeHead(b []byte) (h head, err error) {
	if len(b) < 2+nonceLength || b[0] != headVersion {
		return h, fmt.Errorf("%w: it is not of version %d", ErrState, headVersion)
	}
	h.begun = b[1] == 1
	h.nonce = [nonceLength]byte(b[2:])
	b = b[2+nonceLength:]
	for _, v := range h.numbers() {
		x, n := binary.Varint(b)
		if n <= 0 {
			return h, fmt.Errorf("%w: truncated", ErrState)
		}
		*v, b = x, b[n:]
	}
	return h, nil
}

// logged is an entry of a log: what a packet holds, or a history.
type logged struct {
	end   int64 // Of the slice of pipeline time; of a history, of the newest one that is in it.
	since int64
	table []byte
}

func (l logged) encode() []byte {
	b := binary.AppendVarint(make([]byte, 0, len(l.table)+2*binary.MaxVarintLen64), l.end)
	return append(binary.AppendVarint(b, l.since), l.table...)
}

func decodeLogged(b []byte) (l logged, err error) {
	for _, v := range []*int64{&l.end, &l.since} {
		x, n := binary.Varint(b)
		if n <= 0 {
			return l, fmt.Errorf("%w: truncated", ErrState)
		}
		*v, b = x, b[n:]
	}
	l.table = b
	return l, nil
}

// load returns the working form of a key group, as state has it.
func (f *SlideFn) load(sp state.Provider, id int64) (*keyGroup, error) {
	o := f.Options
	k := sharedGroup(id, o)
	k.mu.Lock()
	trusted := k.head.nonce
	k.mu.Unlock()
	text, written, err := f.Head.Read(sp)
	if err != nil {
		return nil, err
	}
	var h head
	if written {
		if h, err = decodeHead(text); err != nil {
			return nil, err
		}
	}
	if h.nonce == trusted { // Both are zero at the very beginning.
		return k, nil
	}
	k = replaceGroup(id, o)
	if !written {
		return k, nil
	}
	rebuilds.Inc()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.head, k.end = h, h.end
	k.store.RestoreLosses(h.losses)
	var older []logged
	for g := range int64(generations) {
		if older, err = readLogged(sp, f.log(g), older); err != nil {
			return nil, err
		}
	}
	recent, err := readLogged(sp, &f.Recent, nil)
	if err != nil {
		return nil, err
	}
	byEnd := func(a, b logged) int { return cmp.Compare(a.end, b.end) }
	slices.SortStableFunc(older, byEnd)
	slices.SortStableFunc(recent, byEnd)
	for _, l := range older {
		if err := k.restore(l, false); err != nil {
			return nil, err
		}
	}
	for _, l := range recent {
		if err := k.restore(l, true); err != nil {
			return nil, err
		}
	}
	k.since = h.since
	return k, nil
}

// restore takes over what was logged; recent says that it is in no history yet.
func (k *keyGroup) restore(l logged, recent bool) error {
	if aggregate.IsHistory(l.table) {
		if err := k.store.RestoreHistory(l.table, floorDiv(l.end, k.options.SliceMs)-1); err != nil {
			return fmt.Errorf("%w: %w", ErrState, err)
		}
		return nil
	}
	t, err := aggregate.DecodeTable(l.table)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrState, err)
	case l.end > k.end:
		k.add(l.end, Packet{CoveredSince: l.since, Table: t})
		return nil
	}
	k.store.Restore(t)
	if recent {
		k.keepLate(t)
	}
	return nil
}

// readLogged appends the entries of a log, in no order.
func readLogged(sp state.Provider, bag *state.Bag[[]byte], entries []logged) ([]logged, error) {
	texts, _, err := bag.Read(sp)
	if err != nil {
		return nil, err
	}
	for _, text := range texts {
		l, err := decodeLogged(text)
		if err != nil {
			return nil, err
		}
		entries = append(entries, l)
	}
	return entries, nil
}

// keep logs a packet, gives it to the working form, and writes what state has to say of both.
func (f *SlideFn) keep(sp state.Provider, k *keyGroup, end int64, p Packet) error {
	err := f.append(sp, end, p)
	k.add(end, p)
	if err == nil {
		err = f.compact(sp, k, end)
	}
	if err == nil {
		err = f.save(sp, k)
	}
	if err != nil {
		k.head.nonce = newNonce() // It has what the state has not.
	}
	return err
}

func (f *SlideFn) append(sp state.Provider, end int64, p Packet) error {
	return f.Recent.Add(sp, logged{end, p.CoveredSince, p.encodedTable()}.encode())
}

// compactEvery is how many slices lie between two histories of a key group, when
// Options say nothing else.
const compactEvery = 64

// compact makes a history of the slices that are over, when it is time. Each key
// group has a slice of its own for it, so that they do not all do it at once. What
// it writes is true only of the head that save writes after it.
func (f *SlideFn) compact(sp state.Provider, k *keyGroup, end int64) error {
	every := f.Options.CompactEvery
	if every == 0 {
		every = compactEvery
	}
	turn := func(end int64) int64 { return floorDiv(end/f.Options.SliceMs+int64(k.id), every) }
	if k.head.compacted == 0 {
		k.head.compacted = end
	}
	if turn(end) == turn(k.head.compacted) {
		return nil
	}
	k.head.compacted = end
	was := k.head.packed
	k.head.packed = max(was, floorDiv(k.end, f.Options.SliceMs)-1)
	log, err := f.generation(sp, k)
	if err != nil {
		return err
	}
	add := func(bag *state.Bag[[]byte], table []byte) error {
		return bag.Add(sp, logged{k.end, k.since, table}.encode())
	}
	if len(k.late) > 0 {
		if err := add(log, aggregate.EncodeTable(k.late)); err != nil {
			return err
		}
		k.late = nil
	}
	if history, cells := k.store.AppendHistory(nil, was, k.head.packed); cells > 0 {
		if err := add(log, history); err != nil {
			return err
		}
	}
	if err := f.Recent.Clear(sp); err != nil {
		return err
	}
	// What is not over, of producers whose clocks are ahead,
	if ahead, cells := k.store.AppendHistory(nil, k.head.packed, math.MaxInt64); cells > 0 {
		if err := add(&f.Recent, ahead); err != nil {
			return err
		}
	}
	// and what counts in windows that are not evaluated yet.
	for _, end := range slices.Sorted(maps.Keys(k.pending)) {
		if err := f.append(sp, end, Packet{CoveredSince: k.since, Table: k.pending[end]}); err != nil {
			return err
		}
	}
	return nil
}

// generation returns the log of the generation that is written now, and clears those whose turn has come again.
func (f *SlideFn) generation(sp state.Provider, k *keyGroup) (*state.Bag[[]byte], error) {
	// One generation more than the retention needs: the one that is being written.
	length := k.options.RetainMs/(generations-1) + 1
	g := floorDiv(k.end, length)
	for k.head.begun && k.head.generation < g {
		k.head.generation = max(k.head.generation+1, g-generations+1)
		if err := f.log(k.head.generation).Clear(sp); err != nil {
			return nil, err
		}
	}
	if !k.head.begun {
		k.head.generation, k.head.begun = g, true
	}
	return f.log(g), nil
}

// staleSlices is how far the evaluation may be ahead of what state says of it. It
// is written with each packet; between them it is worth a request only now and
// then. A key group that goes back evaluates again what readers have, and they
// refuse; a cache that is ahead has the same packets.
const staleSlices = 32

// save writes what else has changed, and a new nonce.
func (f *SlideFn) save(sp state.Provider, k *keyGroup) error {
	k.head.end, k.head.since, k.head.losses = k.end, k.since, k.store.Losses()
	k.head.nonce = newNonce()
	return f.Head.Write(sp, k.head.encode())
}

func newNonce() (n [nonceLength]byte) {
	_, _ = rand.Read(n[:]) // It does not fail.
	return n
}
