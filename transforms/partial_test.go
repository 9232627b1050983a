package transforms

import (
	"reflect"
	"testing"

	"pulseboard/aggregate"
)

// Where the whole run is in one process a partial crosses the runner as a number, and is given out once.
func TestPartialsStayInTheProcess(t *testing.T) {
	groups := openGroups(t, t.Name())
	table := aggregate.Table{}
	table.Add(3, aggregate.NewName("m", "host"), 1.5, 3500)
	b, err := encodePartial(Partial{CoveredSince: 7, Table: table, run: t.Name()})
	if err != nil || len(b) > 40 {
		t.Fatalf("%q, %v", b, err)
	}
	p, err := decodePartial(b)
	if err != nil || p.CoveredSince != 7 || !reflect.DeepEqual(p.Table, table) {
		t.Errorf("it comes out as %+v, %v", p, err)
	}
	if _, err := decodePartial(b); err == nil {
		t.Error("it is given out twice")
	}
	if len(groups.parcels.held) > 0 {
		t.Error("it is kept")
	}
	if _, err := encodePartial(Partial{run: "another run"}); err == nil {
		t.Error("a partial of a run that is not here is taken")
	}
	merged := new(MergeFn).AddInput(new(MergeFn).CreateAccumulator(), p)
	if merged.run != t.Name() {
		t.Error("merged it would leave the process")
	}
}
