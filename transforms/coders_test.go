package transforms

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"pulseboard/aggregate"
	"pulseboard/e2e/testenv"
	"pulseboard/results"
	"pulseboard/wire"
)

// What crosses a shuffle is read whole or not at all: bytes that the coder did not write are no partial without events,
// no evaluation without results and no empty dead letter.
func TestCodersRefuseOtherBytes(t *testing.T) {
	partial := Partial{CoveredSince: 7, Table: aggregate.Table{}}
	for _, series := range []string{"a", "b"} {
		partial.Table.AddFor(aggregate.NeedSketch|aggregate.NeedMoments, 3, aggregate.NewName(series, ""), 1.5, 3500)
	}
	whole, err := encodePartial(partial)
	if err != nil {
		t.Fatal(err)
	}
	evaluation, err := encodeEvaluation(Evaluation{[]results.Publication{{Result: &wire.Result{Key: "m:sum:5s", WindowEnd: 5000}}}})
	if err != nil {
		t.Fatal(err)
	}
	var letter bytes.Buffer
	if err := beam.NewElementEncoder(reflect.TypeFor[DeadLetter]()).Encode(DeadLetter{Key: []byte("m"), Value: []byte("x"), Code: "not_json", Detail: "d", Partition: 3, Offset: 9}, &letter); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		written []byte
		read    func([]byte) error
	}{
		"partial":    {whole, func(b []byte) error { _, err := decodePartial(b); return err }},
		"evaluation": {evaluation, func(b []byte) error { _, err := decodeEvaluation(b); return err }},
		"dead letter": {letter.Bytes(), func(b []byte) error {
			_, err := beam.NewElementDecoder(reflect.TypeFor[DeadLetter]()).Decode(bytes.NewReader(b))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) { testenv.RefusesOtherBytes(t, c.written, c.read) })
	}
}
