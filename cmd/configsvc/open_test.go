package main

import (
	"io"
	"strings"
	"testing"

	"pulseboard/internal/service"
)

// An address that others can reach is refused without tokens, and says what to
// do; a tokens file that is not there is refused too.
func TestRunRefusesToBeOpen(t *testing.T) {
	start := func(args ...string) error {
		return run(t.Context(), service.Env{Args: args, Getenv: func(string) string { return "" }, Stdout: io.Discard, Stderr: io.Discard})
	}
	const want = `--addr is "0.0.0.0:0", which other machines can reach, and without tokens they all may do everything: make a token with ` +
		`"pulseboard token create --name me --scopes edit --file tokens.yaml" and add --tokens tokens.yaml, or listen on 127.0.0.1:0`
	if err := start("--addr", "0.0.0.0:0"); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if err := start("--addr", "0.0.0.0:0", "--tokens", t.TempDir()+"/none"); err == nil || !strings.Contains(err.Error(), "make it with pulseboard token create") {
		t.Errorf("%v", err)
	}
}
