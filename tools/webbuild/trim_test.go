package main

import (
	"errors"
	"strings"
	"testing"
)

func TestWithoutWantsEachLineOnce(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		err              bool
	}{
		{"once", "a\n\tb;\nc\n", "a\nc\n", false},
		{"gone in a newer version", "a\nc\n", "", true},
		{"twice: which one is meant?", "\tb;\n\tb;\n", "", true},
	} {
		got, err := without(c.text, []string{"\tb;\n"})
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%s: without gives %q, %v", c.name, got, err)
		}
		if c.err && (!errors.Is(err, errNotOnce) || !strings.Contains(err.Error(), "b;")) {
			t.Errorf("%s: %v does not name the line", c.name, err)
		}
	}
}
