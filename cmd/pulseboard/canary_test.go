package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pulseboard/clients/canary"
	"pulseboard/pipeline"
)

// The pipeline hides the canary's metric from the catalog by its name, which it cannot import.
func TestTheCanaryIsHidden(t *testing.T) {
	if hidden := pipeline.Default().Hidden; !slices.Contains(hidden, canary.Metric) {
		t.Errorf("the pipeline hides %q, which is not %q", hidden, canary.Metric)
	}
}

// What a canary cannot begin with is told in one line, with the way out.
func TestCanaryThatCannotBegin(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // The test is over.
	none := filepath.Join(dir, "none")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--token-file", none}, "make it with pulseboard token create --name canary --scopes ingest,edit --file tokens.yaml > " + none},
		{[]string{"--token-file", file("empty", "\n")}, "must hold one token and nothing else"},
		{[]string{"--token-file", file("tokens", "pb_a\npb_b\n")}, "must hold one token and nothing else"},
		{[]string{"--ingest", "localhost:8081"}, `cannot make the canary: the address of ingest is "localhost:8081": it must be a URL such as http://127.0.0.1:8080`},
		{[]string{"--instance", strings.Repeat("x", 300)}, "the instance must have 1 to 256 bytes of UTF-8"},
		{[]string{"--addr", ln.Addr().String()}, "the port is in use; end the other process or choose another with --addr"},
		{[]string{"now"}, `unexpected argument "now" (see pulseboard canary --help)`},
	} {
		if _, _, err := pulseboard(t, append([]string{"canary", "--addr", "127.0.0.1:0"}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %s", c.args, err, c.want)
		}
	}
}
