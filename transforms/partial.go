package transforms

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/aggregate"
	"pulseboard/job"
)

// Partial is the value that travels to a key group: the events of a slice of
// pipeline time, by slice of event time and series.
type Partial struct {
	CoveredSince int64 // Epoch ms; see sources.Position. The highest of several counts.
	Table        aggregate.Table
	Said         said // What the records of the slice say of metrics; it is in the observer, not in the log.

	run     string // All key groups of this run are in this process, so the partial stays here; "" = not so.
	encoded []byte // Table as it came, to be logged; nil = it did not come from elsewhere, or has changed.
}

func init() {
	register.Function1x2(encodePartial)
	register.Function1x2(decodePartial)
	beam.RegisterCoder(reflect.TypeFor[Partial](), encodePartial, decodePartial)
}

// The first byte of an encoded partial.
const (
	wholePartial  = 2 // What follows is the partial. 0 was one without what is said.
	parcelPartial = 1 // What follows is where it lies in this process: the run, and a number.
)

func encodePartial(p Partial) ([]byte, error) {
	if p.run == "" {
		return aggregate.AppendTable(p.Said.encode(binary.AppendVarint([]byte{wholePartial}, p.CoveredSince)), p.Table), nil
	}
	groups, err := job.Of[*Groups](p.run)
	if err != nil {
		return nil, err
	}
	b := binary.AppendUvarint([]byte{parcelPartial}, groups.parcels.put(p))
	return append(b, p.run...), nil
}

func decodePartial(b []byte) (p Partial, err error) {
	if len(b) == 0 {
		return p, errPartial
	}
	r := aggregate.Reader{Rest: b[1:]}
	switch b[0] {
	case wholePartial:
		p.CoveredSince = r.Varint()
		if p.Said, err = decodeSaid(&r); err != nil {
			return Partial{}, fmt.Errorf("cannot read a partial: %w", err)
		}
		p.encoded = r.Rest
		if p.Table, err = aggregate.DecodeTable(r.Rest); err != nil {
			return Partial{}, fmt.Errorf("cannot read a partial: %w", err)
		}
		return p, nil
	case parcelPartial:
		number := r.Uvarint()
		groups, err := job.Of[*Groups](string(r.Rest))
		if err != nil {
			return p, err
		}
		return groups.parcels.take(number)
	}
	return p, errPartial
}

var errPartial = fmt.Errorf("not an encoded partial of this version: %w", ErrState)

// parcels are the partials of a run that are on their way within this process. A runner that keeps everything in one
// process is given a number in the place of each: it would copy their bytes several times, and nobody else reads them.
// Nothing is lost by it: such a runner, when its process ends, has lost what it held as well.
type parcels struct {
	mu   sync.Mutex
	held map[uint64]Partial
	last uint64
}

func (s *parcels) put(p Partial) (number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = make(map[uint64]Partial)
	}
	s.last++
	s.held[s.last] = p
	return s.last
}

// take returns a partial, once: whoever has it may change it.
func (s *parcels) take(number uint64) (Partial, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.held[number]
	if !ok {
		return p, fmt.Errorf("the partial %d is not in this process: the runner has given it out before, or made the number up", number)
	}
	delete(s.held, number)
	return p, nil
}

// clear lets go of what nobody has taken.
func (s *parcels) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.held)
}

func (p *Partial) encodedTable() []byte {
	if p.encoded != nil {
		return p.encoded
	}
	return aggregate.AppendTable(nil, p.Table)
}

// Keys are the keys of key groups in Beam, where the runner's hash would not spread their
// numbers evenly; none = their numbers.
type Keys []int64

func (k Keys) of(group int64) int64 {
	if k == nil {
		return group
	}
	return k[group]
}

func (k Keys) group(key int64) int64 {
	if k == nil {
		return key
	}
	return int64(slices.Index(k, key))
}

// KeyGroup returns the key group of a metric, of n. Few keys with fat values
// make Beam fast: one key per series is 20 times slower.
func KeyGroup(metricName string, n int) int64 {
	h := uint64(14695981039346656037) // FNV-1a, stable across processes and versions.
	for i := range len(metricName) {
		h = (h ^ uint64(metricName[i])) * 1099511628211
	}
	return int64((h ^ h>>32) % uint64(n))
}

// bytes is about what it takes in memory.
func (p *Partial) bytes() int64 { return p.Table.Bytes() + p.Said.bytes() }
