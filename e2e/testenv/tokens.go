package testenv

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"pulseboard/internal/auth"
)

// Tokens writes a tokens file for each scope's own token, whose text is the name
// of the scope, and returns its path.
func Tokens(t *testing.T, scopes ...auth.Scope) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	text := "tokens:\n"
	for _, s := range scopes {
		text += auth.Entry{Name: string(s), Scopes: []auth.Scope{s}, Hash: auth.DigestOf(string(s))}.YAML()
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Guard is that of the file of Tokens.
func Guard(t *testing.T, scopes ...auth.Scope) *auth.Guard {
	t.Helper()
	g, err := auth.Open(Tokens(t, scopes...), auth.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return g
}
