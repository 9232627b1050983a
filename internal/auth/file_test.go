package auth_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pulseboard/internal/auth"
)

const (
	hashA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestParse(t *testing.T) {
	entries, err := auth.Parse(`# Comments may stand anywhere.
tokens:
  - name: ci
    scopes: [ingest]
    hash: ` + hashA + `
    expires: 2027-01-31T12:00:00+01:00 # As here.
  - {name: "4711", scopes: [edit, ingest], hash: "sha256:` + strings.ToUpper(hashB[7:]) + `"}
`)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	ci, edit := entries[0], entries[1]
	if ci.Name != "ci" || len(ci.Scopes) != 1 || ci.Scopes[0] != auth.Ingest || ci.Hash.String() != hashA || !ci.Expires.Equal(time.Date(2027, 1, 31, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", ci)
	}
	if edit.Name != "4711" || len(edit.Scopes) != 2 || edit.Hash.String() != hashB || !edit.Expires.IsZero() {
		t.Errorf("%+v", edit)
	}
}

// What is wrong is named, with the entry and the way out, in one line.
func TestParseNamesTheFault(t *testing.T) {
	entry := func(fields string) string { return "tokens:\n- {" + fields + "}\n" }
	good := `name: ci, scopes: [view], hash: "` + hashA + `"`
	for _, c := range []struct{ name, text, want string }{
		{"not YAML", "tokens: [", "not YAML of the form"},
		{"another document", "- a\n", "not YAML of the form"},
		{"a text", "tokens: pb_x", "not YAML of the form"},
		{"a list of texts", "tokens: [a]", "not YAML of the form"},
		{"a field beside tokens", "token: []", `unknown field "token"`},
		{"two documents", entry(good) + "---\n" + entry(good), "more than one YAML document"},
		{"a key twice", entry(good + ", name: other"), "already defined"},
		{"an unknown field", entry(good + ", scope: view"), `token 1 ("ci"): the field "scope" is unknown`},
		{"a token in clear text", entry(good + ", token: pb_secret"), `the field "token" is unknown`},
		{"no name", entry(`scopes: [view], hash: "` + hashA + `"`), "token 1: it needs a name"},
		{"a name of digits", entry(`name: 4711, scopes: [view], hash: "` + hashA + `"`), "put digits alone in quotes"},
		{"a name with a space", entry(`name: my token, scopes: [view], hash: "` + hashA + `"`), `"my token" must be`},
		{"no scopes", entry(`name: ci, hash: "` + hashA + `"`), `token 1 ("ci"): it needs scopes`},
		{"a text as scopes", entry(`name: ci, scopes: view, hash: "` + hashA + `"`), "a list such as [view]"},
		{"an empty list of scopes", entry(`name: ci, scopes: [], hash: "` + hashA + `"`), "no scope is named: take one or more of ingest, view, edit, admin"},
		{"a scope with a typing error", entry(`name: ci, scopes: [veiw], hash: "` + hashA + `"`), `"veiw" is no scope`},
		{"a scope twice", entry(`name: ci, scopes: [view, view], hash: "` + hashA + `"`), "the scope view is named twice"},
		{"no hash", entry(`name: ci, scopes: [view]`), "it needs a hash"},
		{"a short hash", entry(`name: ci, scopes: [view], hash: "sha256:aa"`), "64 hexadecimal digits"},
		{"a hash of another kind", entry(`name: ci, scopes: [view], hash: "sha512:` + hashA[7:] + `"`), `must be "sha256:"`},
		{"a token in place of its hash", entry(`name: ci, scopes: [view], hash: pb_secret`), "token in clear text"},
		{"an end that is no time", entry(good + ", expires: tomorrow"), `expires is "tomorrow"`},
		{"a day as the end", entry(good + ", expires: 2027-01-31"), "it must be a time such as 2027-01-31T00:00:00Z"},
		{"a name twice", "tokens: [{" + good + "}, {name: ci, scopes: [view], hash: \"" + hashB + "\"}]", `token 2 ("ci"): token 1 has the same name`},
		{"a hash twice", "tokens: [{" + good + "}, {name: other, scopes: [edit], hash: \"" + hashA + "\"}]", `token 2 ("other"): token 1 has the same hash`},
		{"two faults", "tokens: [{name: a, scopes: [view]}, {name: b, scopes: [view]}]", `token 1 ("a"): it needs a hash, as pulseboard token create writes it; token 2 ("b")`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := auth.Parse(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line with %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("tokens:\n- {name: ci, scopes: [ingest], hash: \"" + hashA + "\", expires: 2027-01-31T12:00:00+01:00}\n")
	f.Add("# a\ntokens:\n  - name: a\n    scopes:\n      - view\n    hash: " + hashB + "\n")
	f.Add("tokens: [{name: a, scopes: &s [view]}, {name: b, scopes: *s}]")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := auth.Parse(text)
		if err != nil {
			return
		}
		// What is written is what is read.
		again := "tokens:\n"
		for _, e := range entries {
			if e.Name == "" || len(e.Scopes) == 0 || e.Hash == (auth.Digest{}) && !strings.Contains(text, strings.Repeat("0", 64)) {
				t.Errorf("%q gives %+v", text, e)
			}
			again += e.YAML()
		}
		if len(entries) == 0 {
			return
		}
		if got, err := auth.Parse(again); err != nil || len(got) != len(entries) {
			t.Errorf("%q is written as %q, which gives %v, %v", text, again, got, err)
		}
	})
}

func entry(name string, secret string, scopes ...auth.Scope) auth.Entry {
	return auth.Entry{Name: name, Scopes: scopes, Hash: auth.DigestOf(secret)}
}

// The file is made, added to and taken from, and what people wrote in it stays.
func TestAddAndRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	for _, e := range []auth.Entry{entry("a", "1", auth.View), entry("007", "2", auth.Ingest, auth.Edit)} {
		if err := auth.Add(path, e); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := auth.Add(path, entry("a", "3", auth.View)); err == nil || !strings.Contains(err.Error(), `has a token "a" already`) {
		t.Errorf("a name twice: %v", err)
	}
	if err := auth.Remove(path, "b"); err == nil || !strings.Contains(err.Error(), `no token "b"`) {
		t.Errorf("a name that is not there: %v", err)
	}
	if err := auth.Remove(path, "a"); err != nil {
		t.Fatal(err)
	}
	if err := auth.Remove(path, "007"); err == nil || !strings.Contains(err.Error(), "only token") {
		t.Errorf("the last token: %v", err)
	}
	entries, err := auth.ReadFile(path)
	if err != nil || len(entries) != 1 || entries[0].Name != "007" {
		t.Errorf("%v, %v", entries, err)
	}
	if err := auth.Remove(filepath.Join(t.TempDir(), "none"), "a"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
	if err := auth.Add(filepath.Join(t.TempDir(), "none", "tokens.yaml"), entry("a", "1", auth.View)); err == nil || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("no folder: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("what lies beside the file: %v, %v", left, err)
	}
}

func TestEditsKeepWhatPeopleWrote(t *testing.T) {
	a := "name: a\n    scopes: [view]\n    hash: " + hashA + "\n"
	b := "name: b\n    scopes: [view]\n    hash: " + hashB + "\n"
	added := "name: new\n    scopes: [ingest]\n    hash: " + auth.DigestOf("s").String() + "\n"
	flat := strings.NewReplacer("\n    ", "\n  ", "  - ", "- ")
	for _, c := range []struct {
		name, before, remove string
		want                 string // "" = refused.
	}{
		{"added to a list", "# Ours.\ntokens:\n  - " + a, "", "# Ours.\ntokens:\n  - " + a + "  - " + added},
		{"added to a list at the margin", flat.Replace("tokens:\n  - " + a), "", flat.Replace("tokens:\n  - " + a + "  - " + added)},
		{"added after a comment", "tokens:\n  - " + a + "  # More to come.\n\n", "", "tokens:\n  - " + a + "  # More to come.\n  - " + added},
		{"added to an empty list", "# Ours.\ntokens: []\n", "", "# Ours.\ntokens:\n  - " + added},
		{"added to a list without items", "tokens:\n", "", "tokens:\n  - " + added},
		{"added without a newline at the end", "tokens:\n  - " + strings.TrimSuffix(a, "\n"), "", "tokens:\n  - " + a + "  - " + added},
		{"a list in braces", "tokens: [{name: a, scopes: [view], hash: " + hashA + "}]\n", "", ""},
		{"removed from the top", "tokens:\n  - " + a + "  # Anna's.\n  - " + b, "a", "tokens:\n  # Anna's.\n  - " + b},
		{"removed from the end", "tokens:\n  - " + a + "  - " + b + "# The end.\n", "b", "tokens:\n  - " + a + "# The end.\n"},
		{"scopes on lines of their own", "tokens:\n- name: a\n  scopes:\n  - view\n  hash: " + hashA + "\n- name: b\n  scopes:\n    - view\n  hash: " + hashB + "\n", "b", "tokens:\n- name: a\n  scopes:\n  - view\n  hash: " + hashA + "\n"},
		{"removed from a list in braces", "tokens: [{name: a, scopes: [view], hash: " + hashA + "}, {name: b, scopes: [view], hash: " + hashB + "}]\n", "a", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tokens.yaml")
			if err := os.WriteFile(path, []byte(c.before), 0o640); err != nil {
				t.Fatal(err)
			}
			var err error
			if c.remove != "" {
				err = auth.Remove(path, c.remove)
			} else {
				err = auth.Add(path, entry("new", "s", auth.Ingest))
			}
			want := c.want
			if want == "" {
				want = c.before
				if err == nil || !strings.Contains(err.Error(), "lines of its own") {
					t.Errorf("not refused: %v", err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != want {
				t.Errorf("%v\n%s\nwant\n%s", err, got, want)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		})
	}
}

// Two at once: both are in the file.
func TestAddAtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	const n = 16
	done := make(chan error, n)
	for i := range n {
		go func() { done <- auth.Add(path, entry("t"+string(rune('a'+i)), string(rune('a'+i)), auth.View)) }()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if entries, err := auth.ReadFile(path); err != nil || len(entries) != n {
		t.Errorf("%d tokens, %v", len(entries), err)
	}
}

func TestSecrets(t *testing.T) {
	a, b := auth.NewSecret(), auth.NewSecret()
	if a == b || !strings.HasPrefix(a, "pb_") || len(a) != 3+43 {
		t.Errorf("%q and %q", a, b)
	}
	// As sha256sum has it, so that nobody needs our program to make an entry.
	if got := auth.DigestOf("abc").String(); got != "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Error(got)
	}
}
