package conf

import (
	"io"
	"os"
	"path/filepath"
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

const hidden = "hunter-2-hidden"

// A secret comes from a file or from the environment, and an argument that holds
// one is refused without being quoted.
func TestSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(hidden+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, env string
		err       string // "" = the secret is found.
	}{
		{args: "--store-password-file " + file},
		{env: "PULSEBOARD_STORE_PASSWORD=" + hidden},
		{env: "PULSEBOARD_STORE_PASSWORD_FILE=" + file},
		{env: "PULSEBOARD_STORE=store://u:" + hidden + "@h PULSEBOARD_STORE_PASSWORD=" + hidden},
		{args: "--store-password-file " + file, env: "PULSEBOARD_STORE_PASSWORD=" + hidden, err: "are both set"},
		{args: "--store-password-file " + file + ".none", err: "--store-password-file: "},
		{args: "--store-password " + hidden, err: "--store-password-file, or into PULSEBOARD_STORE_PASSWORD"},
		{args: "-store-password=" + hidden, err: "--store-password-file, or into PULSEBOARD_STORE_PASSWORD"},
		{args: "--store store://u:" + hidden + "@h:1", err: "--store holds a password, which every user of this machine can read in the list of processes: leave it out there and name a file that holds it with --store-password-file, or set PULSEBOARD_STORE_PASSWORD, or give the whole address in PULSEBOARD_STORE"},
		{args: "--store=store://:" + hidden + "@h", err: "--store-password-file"},
		{args: "-store store://:a/b@" + hidden + "@h", err: "--store-password-file"},
		{args: "--store host=h;password=" + hidden, err: "--store-password-file"},
		{args: "--wrong store://u:" + hidden + "@h:1", err: "an argument holds a password"},
		{args: "store://u:" + hidden + "@h:1", err: "an argument holds a password"},
		{args: "--dry store://u:" + hidden + "@h:1", err: "holds a password"},
		{env: "PULSEBOARD_DRY=store://u:" + hidden + "@h", err: "invalid value"},
	} {
		f := New("test", "")
		var s Secret
		f.String("store", "", "")
		f.Secret(&s, "store-password", "the password of the store")
		f.Bool("dry", false, "")
		env := map[string]string{}
		for v := range strings.FieldsSeq(c.env) {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		err := f.Parse(strings.Fields(c.args), func(name string) string { return env[name] }, io.Discard)
		switch {
		case c.err == "" && (err != nil || s.Text.Reveal() != hidden):
			t.Errorf("%s %s: %q, %v", c.args, c.env, s.Text.Reveal(), err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), hidden)):
			t.Errorf("%s %s: %v, want %s", c.args, c.env, err, c.err)
		}
	}
}
