package sources

import (
	"encoding/binary"
	"errors"

	"pulseboard/aggregate"
)

// Position is where to read on in each of the partitions of a reader shard.
type Position struct {
	Shard        Shard
	Started      bool  // Next is set; else the shard begins at its start time.
	CoveredSince int64 // Every record of events from then on has been or will be read, epoch ms. 0 = of all events.
	Next         []Offset
}

// Offset is the next offset of a partition to be read, and how far the partition had come there:
// records that are read again after a restore must get the same pipeline times and verdicts.
type Offset struct {
	Partition int32
	Next      int64
	Inner     int64 // Next is the marker of a transaction whose records before this offset have been emitted; 0 = it is not.
	From      int64 // No transaction that was open at Next began before this offset; -1 = not known.
	Time      int64 // Pipeline time, epoch ms.
	Newest    int64 // The newest timestamp of a record, epoch ms.
}

const positionVersion = 4

func encodePosition(p Position) []byte {
	b := []byte{positionVersion, 0}
	if p.Started {
		b[1] |= 1
	}
	b = binary.AppendUvarint(b, uint64(p.Shard.Index))
	b = binary.AppendUvarint(b, uint64(p.Shard.Of))
	b = binary.AppendVarint(b, p.CoveredSince)
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
	r := aggregate.Reader{Rest: b[2:]}
	p := Position{Shard: Shard{int(r.Uvarint()), int(r.Uvarint())}, Started: b[1]&1 != 0, CoveredSince: r.Varint()}
	for len(r.Rest) > 0 && !r.Bad {
		p.Next = append(p.Next, Offset{
			Partition: int32(r.Uvarint()), Next: int64(r.Uvarint()), Inner: r.Varint(), From: r.Varint(), Time: r.Varint(), Newest: r.Varint(),
		})
	}
	if r.Bad {
		return Position{}, errPosition
	}
	return p, nil
}
