package conf

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestParseArgs(t *testing.T) {
	for _, c := range []struct {
		args string
		rest string
		ids  string
		dry  bool
		err  string
	}{
		{args: "a b", rest: "a b", ids: "env1 env2"},
		{args: "--dry a --id 1 b --id 2,3", rest: "a b", ids: "1 2 3", dry: true},
		{args: "a -- --dry", rest: "a --dry", ids: "env1 env2"},
		{args: "a --wrong", err: "flag provided but not defined: -wrong (see test --help)"},
		{args: "", ids: "env1 env2"},
	} {
		f := New("test", "")
		var ids Repeated
		f.Var(&ids, "id", "")
		dry := f.Bool("dry", false, "")
		getenv := func(name string) string {
			if name == "PULSEBOARD_ID" {
				return "env1,env2"
			}
			return ""
		}
		rest, err := f.ParseArgs(strings.Fields(c.args), getenv, io.Discard)
		switch {
		case c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: error %v, want %s", c.args, err, c.err)
			}
		case err != nil, !slices.Equal(rest, strings.Fields(c.rest)), !slices.Equal(ids.List, strings.Fields(c.ids)), *dry != c.dry:
			t.Errorf("%q: rest %q, ids %q, dry %v, error %v", c.args, rest, ids.List, *dry, err)
		}
	}
}
