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

	"pulseboard/aggregate"
)

// stateLog is what a runner that keeps state holds of one key group, consistent with the offsets of the source: the
// partial aggregates of all slices of pipeline time that a window may still need, and how far they were evaluated.
//
// Partials are appended as they come. Once in a while compact makes one history of the slices that are over, in which the
// name of a series stands once for all its slices, in the log of its generation: a generation is cleared as a whole when
// its turn comes again, so nothing is written more than twice. A partial that comes late, for slices that a history has
// already, is written beside the next one.
//
//	append ─▶ recent ─ compact ─▶ logs[generation]      save ─▶ head: how far, and the nonce
//	replay ◀── all of them, in the order of their slices
//
// The head's nonce changes with each write. A cache of the state is to be trusted only while it has the same nonce: after a
// bundle that is tried again, or a restored checkpoint, it finds another. A counter would not do: after a restore it could
// reach the value of a cache that is of another time. The nonce is in the same state value as what it guards: two values
// could be of two checkpoints.
type stateLog struct {
	head   valueState
	recent bagState // Of the slices since the last history.
	logs   [generations]bagState
	shape  logShape
}

// valueState and bagState are state of one key in one bundle: Beam's, or a test's.
type (
	valueState interface {
		Read() (text []byte, written bool, err error)
		Write(text []byte) error
	}
	bagState interface {
		Read() (texts [][]byte, err error)
		Add(text []byte) error
		Clear() error
	}
)

// logShape is when a history is made, and how long the logs reach back.
type logShape struct {
	sliceMs, retainMs int64
	every             int64 // Slices between two histories; 0 = compactEvery.
	turn              int64 // Other key groups have other turns, so that they do not all make one at the same slice.
}

// compactEvery is how many slices lie between two histories of a key group, when the options name no other number.
const compactEvery = 64

// generations is how many logs there are. One is being written, the others hold the retention.
const generations = 8

// nonce is another one after each write.
type nonce [nonceLength]byte

// head is what is kept besides the logs, in one value: each access to state is a request.
type head struct {
	nonce      nonce
	end        int64 // Evaluated up to here.
	since      int64
	generation int64 // The newest that was written.
	compacted  int64 // The end of the partial at which a history was made last.
	packed     int64 // The newest slice that a history has.
	begun      bool  // generation is known.

	losses aggregate.Losses
}

const (
	headVersion = 4
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
	h.nonce = nonce(b[2:])
	r := aggregate.Reader{Rest: b[2+nonceLength:]}
	for _, v := range h.numbers() {
		*v = r.Varint()
	}
	if r.Bad || len(r.Rest) > 0 {
		return h, fmt.Errorf("%w: wrong length", ErrState)
	}
	return h, nil
}

// logged is an entry of a log: the table of a partial, or a history.
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
	r := aggregate.Reader{Rest: b}
	l.end, l.since = r.Varint(), r.Varint()
	if l.table = r.Rest; r.Bad {
		return l, fmt.Errorf("%w: truncated", ErrState)
	}
	return l, nil
}

// load reads the head, and reports whether a cache with the trusted nonce has what the state has. Both are zero before
// the first write.
func (l *stateLog) load(trusted nonce) (h head, cached bool, err error) {
	text, written, err := l.head.Read()
	if err != nil {
		return h, false, err
	}
	h.packed = nothingPacked
	if written {
		if h, err = decodeHead(text); err != nil {
			return h, false, err
		}
	}
	return h, h.nonce == trusted, nil
}

// replay yields what is logged, first what is in the logs of generations, then what is recent, both in the order of
// their slices.
func (l *stateLog) replay(visit func(e logged, recent bool) error) error {
	var older []logged
	for _, bag := range l.logs {
		var err error
		if older, err = readLogged(bag, older); err != nil {
			return err
		}
	}
	recent, err := readLogged(l.recent, nil)
	if err != nil {
		return err
	}
	for _, entries := range [][]logged{older, recent} {
		slices.SortStableFunc(entries, func(a, b logged) int { return cmp.Compare(a.end, b.end) })
	}
	for i, e := range append(older, recent...) {
		if err := visit(e, i >= len(older)); err != nil {
			return err
		}
	}
	return nil
}

// readLogged appends the entries of a bag, in no order.
func readLogged(bag bagState, entries []logged) ([]logged, error) {
	texts, err := bag.Read()
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

// append logs a partial.
func (l *stateLog) append(e logged) error { return l.recent.Add(e.encode()) }

// snapshot is what a cache holds when a history is made of it.
type snapshot struct {
	end, since int64                     // As in head.
	late       aggregate.Table           // Of slices that a history has already, and that came after it.
	pending    map[int64]aggregate.Table // Of slices of pipeline time that are not evaluated yet, by their end.
	// history encodes the slices after one, up to another, and returns of how many series and slices.
	history func(after, upTo int64) (text []byte, samples int)
}

// isDue reports whether it is time for a history, with the partial of the slice that ends at end.
func (l *stateLog) isDue(h *head, end int64) bool {
	every := l.shape.every
	if every == 0 {
		every = compactEvery
	}
	turn := func(end int64) int64 { return aggregate.Div(end/l.shape.sliceMs+l.shape.turn, every) }
	if h.compacted == 0 {
		h.compacted = end
	}
	return turn(end) != turn(h.compacted)
}

// compact makes a history of the slices that are over. What it writes is true only of the head that save writes after it.
func (l *stateLog) compact(h *head, end int64, s snapshot) error {
	h.compacted = end
	was := h.packed
	h.packed = max(was, aggregate.Div(s.end, l.shape.sliceMs)-1)
	log, err := l.generation(h, s.end)
	if err != nil {
		return err
	}
	add := func(bag bagState, table []byte) error { return bag.Add(logged{s.end, s.since, table}.encode()) }
	if len(s.late) > 0 {
		if err := add(log, aggregate.AppendTable(nil, s.late)); err != nil {
			return err
		}
	}
	if history, samples := s.history(was, h.packed); samples > 0 {
		if err := add(log, history); err != nil {
			return err
		}
	}
	if err := l.recent.Clear(); err != nil {
		return err
	}
	// What is not over, of producers whose clocks are ahead,
	if ahead, samples := s.history(h.packed, math.MaxInt64); samples > 0 {
		if err := add(l.recent, ahead); err != nil {
			return err
		}
	}
	// and what counts in windows that are not evaluated yet.
	for _, end := range slices.Sorted(maps.Keys(s.pending)) {
		if err := l.append(logged{end, s.since, aggregate.AppendTable(nil, s.pending[end])}); err != nil {
			return err
		}
	}
	return nil
}

// generation returns the log of the generation of end, and clears those whose turn has come again.
func (l *stateLog) generation(h *head, end int64) (bagState, error) {
	// One generation more than the retention needs: the one that is being written.
	length := l.shape.retainMs/(generations-1) + 1
	g := aggregate.Div(end, length)
	for h.begun && h.generation < g {
		h.generation = max(h.generation+1, g-generations+1)
		if err := l.log(h.generation).Clear(); err != nil {
			return nil, err
		}
	}
	if !h.begun {
		h.generation, h.begun = g, true
	}
	return l.log(g), nil
}

func (l *stateLog) log(generation int64) bagState {
	return l.logs[aggregate.Mod(generation, generations)]
}

// save writes the head with a new nonce.
func (l *stateLog) save(h *head) error {
	h.nonce = newNonce()
	return l.head.Write(h.encode())
}

func newNonce() (n nonce) {
	_, _ = rand.Read(n[:]) // It does not fail.
	return n
}
