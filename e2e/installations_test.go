package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/internal/testenv"
)

// Installations in one Redis, kept apart by a prefix, by the number of a database and
// by having neither: the same query has its own value in each. Another one that would
// mix with one of them does not start, nor does a second pipeline.
func TestInstallationsShareARedis(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	server := miniredis.RunT(t)
	at := map[string][]string{
		"prefix":   {"--redis", server.Addr(), "--redis-prefix", "team-a"},
		"nothing":  {"--redis", server.Addr()},
		"database": {"--redis", "redis://" + server.Addr() + "/1"},
	}
	programs := map[string]*program{}
	sums := map[string]func() (float64, error){}
	for i, name := range []string{"prefix", "nothing", "database"} {
		p := start(t, t.TempDir(), append([]string{"--no-demo"}, at[name]...)...)
		var send func(...float64)
		send, sums[name] = one(p, 600)
		send(float64(i+1), 10)
		programs[name] = p
	}
	for i, name := range []string{"prefix", "nothing", "database"} {
		programs[name].until("the sum of "+name, equals(float64(i+11), sums[name]))
	}

	own := map[string]bool{}
	for _, key := range server.DB(0).Keys() {
		own[strings.Split(key, "|")[0]] = true
		if rest, mine := strings.CutPrefix(key, "team-a|"); mine != strings.Contains(key, "|") || mine && !server.DB(0).Exists(rest) {
			t.Errorf("database 0 has the key %q, without a fellow in the other installation", key)
		}
	}
	if !own["team-a"] || !own["queries"] {
		t.Errorf("the keys begin with %v", own)
	}
	for _, channel := range []string{"one:sum:600s", "queries:changed", "dashboards:changed"} {
		for _, prefix := range []string{"", "team-a|", "1/"} {
			if n := server.PubSubNumSub(prefix + channel)[prefix+channel]; n == 0 {
				t.Errorf("nobody has subscribed to %s", prefix+channel)
			}
		}
	}

	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want []string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...) //nolint:gosec // Our own program.
		log := new(testenv.Buffer)
		cmd.Stdout, cmd.Stderr, cmd.Env = log, log, os.Environ()
		if err := cmd.Run(); err == nil {
			t.Errorf("%q ended without an error", args)
		}
		for _, text := range want {
			if !strings.Contains(log.String(), text) {
				t.Errorf("%q says:\n%s\nnot %q", args, log, text)
			}
		}
	}
	for name, key := range map[string]string{"prefix": "team-a|installation", "nothing": "installation", "database": "installation"} {
		refused([]string{"belongs to another installation", "--redis-prefix", fmt.Sprintf("DEL '%s'", key)},
			append([]string{"run", "--addr", "127.0.0.1:0", "--data-dir", t.TempDir(), "--no-demo", "--no-canary"}, at[name]...)...)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	// Of the same Kafka it would say the same, of another something else.
	refused([]string{"another pipeline, of " + host}, append([]string{"pipeline", "--kafka", programs["prefix"].kafka}, at["prefix"]...)...)
	refused([]string{"are those of the log", "--redis-prefix"}, append([]string{"pipeline", "--kafka", programs["nothing"].kafka}, at["prefix"]...)...)
	for i, name := range []string{"prefix", "nothing", "database"} {
		programs[name].until("the sum of "+name, equals(float64(i+11), sums[name]))
	}
}
