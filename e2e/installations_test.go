package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/e2e/testenv"
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

	programs["prefix"].until("the same keys in both installations of a database", func() error {
		prefixed, bare := map[string]bool{}, map[string]bool{}
		for _, key := range server.DB(0).Keys() {
			rest, mine := strings.CutPrefix(key, "team-a|")
			for _, own := range []string{"limits:report:", "results:writes:"} {
				if strings.HasPrefix(rest, own) {
					rest = own // What follows is another in each process.
				}
			}
			if mine {
				prefixed[rest] = true
			} else {
				bare[rest] = true
			}
		}
		if !maps.Equal(prefixed, bare) || !bare["history:one:sum:600s@1000"] || !bare["catalog"] {
			return fmt.Errorf("behind the prefix are the keys %v, without it %v", prefixed, bare)
		}
		return nil
	})
	// Messages know no databases.
	messages := redisClient(t, server.Addr()).PSubscribe(t.Context(), "*one:sum:600s")
	defer messages.Close() //nolint:errcheck // It was only read.
	channels := map[string]float64{"team-a|one:sum:600s": 11, "one:sum:600s": 12, "1/one:sum:600s": 13}
	for seen := map[string]bool{}; len(seen) < len(channels); {
		m, err := messages.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var r struct {
			Series []struct {
				Value float64 `json:"value"`
			} `json:"series"`
		}
		if err := json.Unmarshal([]byte(m.Payload), &r); err != nil || len(r.Series) != 1 || r.Series[0].Value != channels[m.Channel] {
			t.Fatalf("%s tells %s, %v; want %v", m.Channel, m.Payload, err, channels[m.Channel])
		}
		seen[m.Channel] = true
	}

	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want []string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
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
