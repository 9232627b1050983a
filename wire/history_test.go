package wire_test

import (
	"testing"

	"pulseboard/wire"
)

// Names of histories are read back, whatever a metric key holds.
func TestHistoryNames(t *testing.T) {
	for _, key := range []string{"m:sum:5s", "a:b@c:sum:5s", `m:avg:60s {"mail": "x@1"}`, ""} {
		name := wire.HistoryName(key, 250)
		if got, refresh, ok := wire.ParseHistoryName(name); got != key || refresh != 250 || !ok {
			t.Errorf("%q is read as %q, %d, %t", name, got, refresh, ok)
		}
	}
	for _, name := range []string{"history:m", "history:m@", "history:m@x", "m@1", ""} {
		if key, refresh, ok := wire.ParseHistoryName(name); ok {
			t.Errorf("%q is read as %q, %d", name, key, refresh)
		}
	}
	if end, err := wire.ParseHistoryID(wire.HistoryID(1763892060000)); end != 1763892060000 || err != nil {
		t.Errorf("%d, %v", end, err)
	}
	if _, err := wire.ParseHistoryID("x-0"); err == nil {
		t.Error("an id that is none is read")
	}
}
