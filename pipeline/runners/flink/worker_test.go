package flink

import (
	"testing"
)

// Workers that share a machine share the flag, too: each takes the next free port.
func TestWorkersOfOneMachineServeTheirMetrics(t *testing.T) {
	first, err := listenNear(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close() //nolint:errcheck // Of a test.
	second, err := listenNear(t.Context(), first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close() //nolint:errcheck // Of a test.
	if second.Addr().String() == first.Addr().String() {
		t.Errorf("both are at %s", first.Addr())
	}
}
