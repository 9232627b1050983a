package transforms

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"pulseboard/aggregate"
)

// Partial is the value that travels to a key group: the events of a slice of
// pipeline time, by slice of event time and series.
type Partial struct {
	CoveredSince int64 // Epoch ms; see sources.Position. The highest of several counts.
	Table        aggregate.Table

	encoded []byte // Table as it came, to be logged; nil = it did not come from elsewhere, or has changed.
}

func init() {
	register.Function1x1(encodePartial)
	register.Function1x2(decodePartial)
	beam.RegisterCoder(reflect.TypeFor[Partial](), encodePartial, decodePartial)
}

func encodePartial(p Partial) []byte {
	return append(binary.AppendVarint(nil, p.CoveredSince), aggregate.EncodeTable(p.Table)...)
}

func decodePartial(b []byte) (p Partial, err error) {
	r := aggregate.Reader{Rest: b}
	p.CoveredSince, p.encoded = r.Varint(), r.Rest
	if p.Table, err = aggregate.DecodeTable(r.Rest); err != nil {
		return Partial{}, fmt.Errorf("cannot read a partial: %w", err)
	}
	return p, nil
}

func (p *Partial) encodedTable() []byte {
	if p.encoded != nil {
		return p.encoded
	}
	return aggregate.EncodeTable(p.Table)
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
