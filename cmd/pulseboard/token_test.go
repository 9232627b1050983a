package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

// pulseboard runs a command and returns what it prints.
func pulseboard(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, log bytes.Buffer
	err = command(t.Context(), service.Env{Args: args, Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &log})
	return out.String(), log.String(), err
}

// A token that was made is listed, let in, and gone when it is removed.
func TestTokenRoundTrip(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	var secrets []string
	for _, args := range [][]string{
		{"--name", "ci", "--scopes", "ingest,view", "--expires", "2999-01-31"},
		{"--name", "anna", "--scopes", "edit"},
	} {
		stdout, stderr, err := pulseboard(t, append([]string{"token", "create", "--file", file}, args...)...)
		if err != nil || !regexp.MustCompile(`^pb_[\w-]{43}\n$`).MatchString(stdout) || !strings.Contains(stderr, "Added "+args[1]) {
			t.Fatalf("%v, %q, %q", err, stdout, stderr)
		}
		secrets = append(secrets, strings.TrimSpace(stdout))
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), secrets[0]) || !strings.Contains(string(text), auth.DigestOf(secrets[0]).String()) {
		t.Errorf("%v\n%s", err, text)
	}
	list, _, err := pulseboard(t, "token", "list", "--file", file)
	want := "NAME   SCOPES        EXPIRY\nci     ingest,view   expires 2999-02-01T00:00:00Z\nanna   edit          never expires\n"
	if err != nil || list != want {
		t.Errorf("%v\n%s\nwant\n%s", err, list, want)
	}
	g, err := auth.Open(file, auth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i, need := range []auth.Scope{auth.Ingest, auth.Edit} {
		if _, err := g.Check(secrets[i], need); err != nil {
			t.Error(err)
		}
	}
	if _, stderr, err := pulseboard(t, "token", "remove", "--file", file, "--name", "ci"); err != nil || !strings.Contains(stderr, "Removed ci") {
		t.Errorf("%v, %q", err, stderr)
	}
	if list, _, err := pulseboard(t, "token", "list", "--file", file); err != nil || strings.Contains(list, "ci") {
		t.Errorf("%v\n%s", err, list)
	}
}

// Without a file the entry is printed, in the form of the file, apart from the token.
func TestTokenWithoutFile(t *testing.T) {
	stdout, stderr, err := pulseboard(t, "token", "create", "--name", "ci", "--scopes", "ingest")
	if err != nil {
		t.Fatal(err)
	}
	_, entry, _ := strings.Cut(stderr, "\n")
	entries, err := auth.Parse("tokens:\n" + entry)
	if err != nil || len(entries) != 1 || entries[0].Hash != auth.DigestOf(strings.TrimSpace(stdout)) {
		t.Errorf("%v: %s", err, stderr)
	}
}

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 500, time.UTC)
	for text, want := range map[string]string{
		"":                          "never expires",
		"2027-01-31":                "expires 2027-02-01T00:00:00Z",
		"2026-11-23":                "expires 2026-11-24T00:00:00Z",
		"2027-01-31T12:00:00+01:00": "expires 2027-01-31T11:00:00Z",
		"90d":                       "expires 2027-02-21T10:00:00Z",
		"36h":                       "expires 2026-11-24T22:00:00Z",
		"2026-11-22":                "which is past",
		"0d":                        "which is past",
		"-1h":                       "which is past",
		"9999999d":                  "which is too far away",
		"soon":                      "must be a day such as 2027-01-31",
		"2027-02-30":                "must be a day such as",
		"90":                        "must be a day such as",
	} {
		end, err := parseExpiry(text, now)
		got := expiryText(end, now)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// What is wrong is said in one line, and nothing is made or printed.
func TestTokenNamesTheFault(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens.yaml")
	for _, c := range []struct {
		args string
		want string
	}{
		{"create --scopes view", "--name: the name"},
		{"create --name ci", "--scopes: no scope is named: take one or more of ingest, view, edit, admin"},
		{"create --name ci --scopes write", `--scopes: "write" is no scope`},
		{"create --name ci --scopes view --expires never", "--expires"},
		{"create --name a/b --scopes view", "must be 1 to 64 of letters"},
		{"create --name ci --scopes view --file " + dir + "/none/tokens.yaml", "make it first"},
		{"list --file " + file, "no such file or directory; name the file with --file"},
		{"remove --file " + file, "--name is empty"},
		{"remove --name ci --file " + file, "no such file or directory; name the file with --file"},
		{"revoke", "use create, list or remove"},
		{"list x", "unexpected argument"},
	} {
		stdout, _, err := pulseboard(t, append([]string{"token"}, strings.Fields(c.args)...)...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || stdout != "" {
			t.Errorf("%s: %v, want %s; printed %q", c.args, err, c.want, stdout)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTokenHelp(t *testing.T) {
	for args, want := range map[string]string{"": "Commands:", "help": "create", "create --help": "PULSEBOARD_SCOPES", "list --help": "--file", "remove --help": "--name"} {
		stdout, _, err := pulseboard(t, append([]string{"token"}, strings.Fields(args)...)...)
		if !errors.Is(err, conf.ErrHelp) || !strings.Contains(stdout, want) {
			t.Errorf("%q: %v, %s", args, err, stdout)
		}
	}
}

// An address that others can reach is refused without tokens, and says what to do.
func TestRunRefusesToBeOpen(t *testing.T) {
	err := run(t.Context(), service.Env{Args: []string{"--addr", "0.0.0.0:0", "--data-dir", t.TempDir()}, Getenv: func(string) string { return "" }, Stdout: io.Discard, Stderr: io.Discard})
	const want = `--addr is "0.0.0.0:0", which other machines can reach, and without tokens they all may do everything: make a token with ` +
		`"pulseboard token create --name me --scopes ingest,edit --file tokens.yaml" and add --tokens tokens.yaml, or listen on 127.0.0.1:0`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
