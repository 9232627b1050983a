package textbook

import (
	"testing"

	"pulseboard/aggregate"
	"pulseboard/e2e/testenv"
	"pulseboard/wire"
)

// What crosses a shuffle is read whole or not at all.
func TestCodersRefuseOtherBytes(t *testing.T) {
	var acc Accumulator
	for _, v := range []float64{1.5, 2, 7} {
		acc.Acc.AddFor(aggregate.NeedSketch|aggregate.NeedMoments, v, 3500)
	}
	result, err := encodeResult(wire.Result{Key: "m:sum:5s", WindowEnd: 5000, Series: []wire.SeriesValue{}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		written []byte
		read    func([]byte) error
	}{
		"accumulator": {encodeAccumulator(acc), func(b []byte) error { _, err := decodeAccumulator(b); return err }},
		"part":        {encodePart(Part{"host=a", acc}), func(b []byte) error { _, err := decodePart(b); return err }},
		"result":      {result, func(b []byte) error { _, err := decodeResult(b); return err }},
	} {
		t.Run(name, func(t *testing.T) { testenv.RefusesOtherBytes(t, c.written, c.read) })
	}
}
