package transforms

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"

	"pulseboard/aggregate"
)

// A runner that keeps state holds, of each key group and consistent with the
// offsets of the source, the packets of all slices of pipeline time that a window
// may still need, and how far they were evaluated.
//
// Packets are logged as they come. Once in a while those that were evaluated
// become one history, in which the name of a series stands once for all its
// slices, in a log of its generation: a generation is cleared as a whole when its
// turn comes again, so that nothing is written more than twice. The working form, keyGroup, is a
// cache of it in the process, trusted only while its nonce, which changes with
// each write, is the one in state: a bundle that is tried again, or a restored
// checkpoint, finds another, and the cache is built anew. A counter would not
// do: after a restore it could reach the value of the cache that is not trusted.

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
	compacted  int64 // The end of the packet at which histories were made last.
	begun      bool  // generation is known.
}

const (
	headVersion    = 2
	headPacketwise = 1 // Of the form in which the logs held the packets of all slices.
	nonceLength    = 16
)

func (h head) encode() []byte {
	b := []byte{headVersion, 0}
	if h.begun {
		b[1] = 1
	}
	b = append(b, h.nonce[:]...)
	b = binary.AppendVarint(b, h.end)
	b = binary.AppendVarint(b, h.since)
	b = binary.AppendVarint(b, h.generation)
	return binary.AppendVarint(b, h.compacted)
}

var errState = errors.New("the state of a key group cannot be read")

func decodeHead(b []byte) (h head, err error) {
	if len(b) < 2+nonceLength || b[0] < headPacketwise || b[0] > headVersion {
		return h, fmt.Errorf("%w: unknown version", errState)
	}
	fields := []*int64{&h.end, &h.since, &h.generation, &h.compacted}
	if b[0] == headPacketwise {
		fields = fields[:3]
	}
	h.begun = b[1] == 1
	h.nonce = [nonceLength]byte(b[2:])
	b = b[2+nonceLength:]
	for _, v := range fields {
		x, n := binary.Varint(b)
		if n <= 0 {
			return h, fmt.Errorf("%w: truncated", errState)
		}
		*v, b = x, b[n:]
	}
	return h, nil
}

// encodeLogged is an entry of a log: the end of the slice, then the packet.
func encodeLogged(end int64, p Packet) []byte {
	return append(binary.AppendVarint(nil, end), encodePacket(p)...)
}

// encodeHistory is an entry that holds several packets, the last of which ends at end.
func encodeHistory(end int64, p Packet) []byte {
	b := binary.AppendVarint(binary.AppendVarint(nil, end), p.CoveredSince)
	return append(b, aggregate.EncodeHistory(p.Table)...)
}

func decodeLogged(b []byte) (end int64, p Packet, err error) {
	end, n := binary.Varint(b)
	if n <= 0 {
		return 0, p, fmt.Errorf("%w: truncated", errState)
	}
	p, err = decodePacket(b[n:])
	return end, p, err
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
	entries, err := readLogged(sp, &f.Recent)
	if err != nil {
		return nil, err
	}
	for g := range int64(generations) {
		older, err := readLogged(sp, f.log(g))
		if err != nil {
			return nil, err
		}
		entries = append(entries, older...)
	}
	slices.SortFunc(entries, func(a, b logged) int { return int(a.end - b.end) })
	k.head = h
	k.end = h.end
	for _, e := range entries {
		if e.end > h.end {
			k.add(e.end, e.packet)
		} else {
			k.store.Restore(e.packet.Table)
		}
	}
	k.since = h.since
	return k, nil
}

type logged struct {
	end    int64
	packet Packet
}

func readLogged(sp state.Provider, bag *state.Bag[[]byte]) ([]logged, error) {
	texts, _, err := bag.Read(sp)
	if err != nil {
		return nil, err
	}
	entries := make([]logged, 0, len(texts))
	for _, text := range texts {
		end, p, err := decodeLogged(text)
		if err != nil {
			return nil, err
		}
		entries = append(entries, logged{end, p})
	}
	return entries, nil
}

// append writes a packet into the log, before the working form takes it over.
func (f *SlideFn) append(sp state.Provider, end int64, p Packet) error {
	return f.Recent.Add(sp, encodeLogged(end, p))
}

// compactEvery is how many slices lie between two histories of a key group, when
// Options say nothing else.
const compactEvery = 64

// compact makes a history of the packets that were evaluated, when it is time.
// Each key group has a slice of its own for it, so that they do not all do it at
// once. What it writes is true only of the head that save writes after it.
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
	entries, err := readLogged(sp, &f.Recent)
	if err != nil {
		return err
	}
	if err := f.Recent.Clear(sp); err != nil {
		return err
	}
	history := logged{packet: Packet{Table: aggregate.Table{}}}
	for _, e := range entries {
		if e.end > k.end {
			// It counts in windows that are not evaluated yet.
			if err := f.append(sp, e.end, e.packet); err != nil {
				return err
			}
			continue
		}
		history.end = max(history.end, e.end)
		history.packet.CoveredSince = max(history.packet.CoveredSince, e.packet.CoveredSince)
		history.packet.Table.Merge(e.packet.Table)
	}
	return f.keep(sp, k, history)
}

// keep writes a history into the log of its generation.
func (f *SlideFn) keep(sp state.Provider, k *keyGroup, history logged) error {
	if len(history.packet.Table) == 0 {
		return nil
	}
	// One generation more than the retention needs: the one that is being written.
	length := k.options.RetainMs/(generations-1) + 1
	g := floorDiv(history.end, length)
	for k.head.begun && k.head.generation < g {
		k.head.generation = max(k.head.generation+1, g-generations+1)
		if err := f.log(k.head.generation).Clear(sp); err != nil {
			return err
		}
	}
	if !k.head.begun {
		k.head.generation, k.head.begun = g, true
	}
	return f.log(g).Add(sp, encodeHistory(history.end, history.packet))
}

// staleSlices is how far the evaluation may be ahead of what state says of it. It
// is written with each packet; between them it is worth a request only now and
// then. A key group that goes back evaluates again what readers have, and they
// refuse; a cache that is ahead has the same packets.
const staleSlices = 32

// save writes what else has changed, and a new nonce.
func (f *SlideFn) save(sp state.Provider, k *keyGroup) error {
	k.head.end, k.head.since = k.end, k.since
	_, _ = rand.Read(k.head.nonce[:]) // It does not fail.
	return f.Head.Write(sp, k.head.encode())
}
