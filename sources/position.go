package sources

import (
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

// Position is the restriction of a reader shard: where to read on in each of
// its partitions. All partitions of a shard are one restriction, because Prism
// keeps one watermark estimate per stage: two restrictions that end in
// different bundles lose data (344 records emitted, 20 aggregated).
type Position struct {
	Started bool  // Offsets have been looked up; else the shard begins at its start time.
	Done    bool  // Nothing is left to read.
	Since   int64 // Covered since, epoch ms: every record of events from then on has been or will be read. 0 = of all events.
	Next    []Offset
}

// Offset is the next offset of a partition to be read, and what the partition had
// come to: what is read again must get the same.
type Offset struct {
	Partition int32
	Next      int64
	Inner     int64 // Next is the marker of a transaction whose records before this offset are out; 0 = none is.
	From      int64 // No transaction that was open at Next began before this offset; -1 = not known.
	Time      int64 // Pipeline time, epoch ms.
	Newest    int64 // The newest timestamp of a record, epoch ms.
}

func init() {
	register.Function1x1(encodePosition)
	register.Function1x2(decodePosition)
	beam.RegisterCoder(reflect.TypeFor[Position](), encodePosition, decodePosition)
}

const positionVersion = 3

func encodePosition(p Position) []byte {
	b := []byte{positionVersion, 0}
	if p.Started {
		b[1] |= 1
	}
	if p.Done {
		b[1] |= 2
	}
	b = binary.AppendVarint(b, p.Since)
	for _, o := range p.Next {
		b = binary.AppendUvarint(b, uint64(o.Partition))
		b = binary.AppendUvarint(b, uint64(o.Next))
		for _, n := range [...]int64{o.Inner, o.From, o.Time, o.Newest} {
			b = binary.AppendVarint(b, n)
		}
	}
	return b
}

var errPosition = errors.New("cannot read the position of a reader shard: unknown form")

func decodePosition(b []byte) (Position, error) {
	if len(b) < 3 || b[0] != positionVersion {
		return Position{}, errPosition
	}
	p := Position{Started: b[1]&1 != 0, Done: b[1]&2 != 0}
	since, n := binary.Varint(b[2:])
	if n <= 0 {
		return Position{}, errPosition
	}
	p.Since = since
	for b = b[2+n:]; len(b) > 0; {
		partition, n := binary.Uvarint(b)
		if n <= 0 {
			return Position{}, errPosition
		}
		next, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return Position{}, errPosition
		}
		o := Offset{Partition: int32(partition), Next: int64(next)}
		b = b[n+m:]
		for _, to := range [...]*int64{&o.Inner, &o.From, &o.Time, &o.Newest} {
			if *to, n = binary.Varint(b); n <= 0 {
				return Position{}, errPosition
			}
			b = b[n:]
		}
		p.Next = append(p.Next, o)
	}
	return p, nil
}

// tracker tracks a Position. Its only split is the checkpoint, fraction 0:
// Prism splits an element that shows no progress at fraction 0.5, and a second
// restriction would lose data (see Position).
type tracker struct {
	mu  sync.Mutex
	pos Position
}

// TryClaim takes the Position that is reached once what is about to be emitted is out.
func (t *tracker) TryClaim(pos any) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pos.Done {
		return false
	}
	t.pos = pos.(Position)
	return true
}

// TrySplit hands the rest over at fraction 0 and nothing at any other.
func (t *tracker) TrySplit(fraction float64) (primary, residual any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fraction > 0 || t.pos.Done {
		return t.pos, nil, nil
	}
	rest := t.pos
	rest.Next = slices.Clone(rest.Next)
	t.pos.Done = true
	return t.pos, rest, nil
}

func (t *tracker) GetError() error { return nil }

func (t *tracker) IsDone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pos.Done
}

func (t *tracker) GetRestriction() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pos
}

// GetProgress is called often and from another goroutine: it must not ask a broker.
func (t *tracker) GetProgress() (done, remaining float64) { return 0.5, 0.5 }

func (t *tracker) IsBounded() bool { return false }
