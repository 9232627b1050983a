package testenv

import "testing"

// RefusesOtherBytes checks that a decoder reads what its encoder has written whole, and neither a part of it nor anything else.
func RefusesOtherBytes(t *testing.T, written []byte, read func([]byte) error) {
	t.Helper()
	if err := read(written); err != nil {
		t.Error(err)
	}
	for n := range len(written) {
		if read(written[:n]) == nil {
			t.Errorf("%d of %d bytes are read as one", n, len(written))
		}
	}
	for _, other := range []string{"{}", "null", "3 records", "\x01\x01\x01\x01"} {
		if read([]byte(other)) == nil {
			t.Errorf("%q is read as one", other)
		}
	}
}
