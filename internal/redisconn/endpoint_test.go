package redisconn_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/conf"
	"pulseboard/internal/redisconn"
)

const hidden = "hunter-2-hidden"

// read reads flags and environment: NAME=value words are of the environment.
func read(words ...string) (redisconn.Endpoint, error) {
	f := conf.New("test", "")
	var e redisconn.Endpoint
	redisconn.Flags(f, &e, "127.0.0.1:6379", "Redis")
	env := map[string]string{}
	var args []string
	for _, w := range words {
		if name, value, ok := strings.Cut(w, "="); ok && strings.HasPrefix(name, "PULSEBOARD_") {
			env[name] = value
			continue
		}
		args = append(args, w)
	}
	err := f.Parse(args, func(name string) string { return env[name] }, io.Discard)
	return e, err
}

func TestAddresses(t *testing.T) {
	file, ca := testenv.SecretFile(t, hidden), testenv.NewAuthority(t).File
	for _, c := range []struct {
		words string
		shown string // What the address prints as.
		err   string
	}{
		{words: "", shown: "127.0.0.1:6379"},
		{words: "--redis h:1", shown: "h:1"},
		{words: "--redis [::1]:1", shown: "[::1]:1"},
		{words: "--redis redis://h", shown: "h:6379"},
		{words: "--redis redis://u@h/3 --redis-password-file " + file, shown: "redis://u@h:6379/3"},
		{words: "--redis h:1 --redis-user u PULSEBOARD_REDIS_PASSWORD=" + hidden, shown: "redis://u@h:1"},
		{words: "PULSEBOARD_REDIS=rediss://u:" + hidden + "@h:1/2", shown: "rediss://u@h:1/2"},
		{words: "PULSEBOARD_REDIS=redis://:a%2Fb%40c@h:1", shown: "h:1"},
		{words: "--redis h:1 --redis-ca " + ca, shown: "rediss://h:1"},
		{words: "--redis unix:///run/redis.sock PULSEBOARD_REDIS_PASSWORD=" + hidden, shown: "unix:///run/redis.sock"},
		{words: "--redis redis-sentinel://a:1,b,[::1]:3/mymaster", shown: "redis-sentinel://a:1,b:26379,[::1]:3/mymaster"},
		{words: "PULSEBOARD_REDIS=rediss-sentinel://u:" + hidden + "@a:1,b:2/my%2Fmaster/4", shown: "rediss-sentinel://u@a:1,b:2/my%2Fmaster/4"},
		{words: "--redis redis-sentinel://a/m PULSEBOARD_REDIS_SENTINEL_PASSWORD=" + hidden, shown: "redis-sentinel://a:26379/m"},

		{words: "--redis h:1 --redis-prefix team-a", shown: "h:1"},
		{words: "--redis h:1 --redis-prefix team-a:", err: "--redis-prefix is \"team-a:\": it must be"},
		{words: "--redis h:1 --redis-prefix *", err: "--redis-prefix is"},
		{words: "--redis h:1 --redis-prefix " + strings.Repeat("x", 65), err: "--redis-prefix is"},
		{words: "--redis= --redis-prefix x", err: "--redis-prefix is for a Redis that --redis names"},
		{words: "--redis redis://:" + hidden + "@h:1", err: "--redis holds a password"},
		{words: "--redis " + hidden + "@h:1", err: "must be host:port"},
		{words: "--redis u:" + hidden + "@h:1", err: "must be host:port"},
		{words: "--redis h", err: "must be host:port"},
		{words: "--redis h:port", err: "must be host:port"},
		{words: "PULSEBOARD_REDIS=u:" + hidden + "@h:1", err: "must be host:port"},
		{words: "PULSEBOARD_REDIS=redis://:" + hidden + "@h:x", err: "must be host:port"},
		{words: "PULSEBOARD_REDIS=redis://:%zz" + hidden + "@h:1", err: "must be host:port"},
		{words: "PULSEBOARD_REDIS=http://:" + hidden + "@h:1", err: "must be host:port"},
		{words: "PULSEBOARD_REDIS=redis://:" + hidden + "@h:1/x", err: "must be host:port"},
		{words: "PULSEBOARD_REDIS=redis://:" + hidden + "@h:1?db=1", err: "takes no options"},
		{words: "PULSEBOARD_REDIS=redis-sentinel://:" + hidden + "@h:1", err: "no name of a master"},
		{words: "PULSEBOARD_REDIS=redis://u:x" + hidden + "@h:1 PULSEBOARD_REDIS_PASSWORD=" + hidden, err: "two passwords"},
		{words: "--redis redis://u@h:1", err: "needs a password"},
		{words: "--redis redis://u@h:1 --redis-user v PULSEBOARD_REDIS_PASSWORD=" + hidden, err: "keep one of them"},
		{words: "--redis redis://h:1 --redis-ca " + ca, err: "write rediss"},
		{words: "--redis h:1 --redis-cert " + ca, err: "go together"},
		{words: "--redis h:1 --redis-ca " + file, err: "no certificate in PEM"},
		{words: "--redis h:1 PULSEBOARD_REDIS_SENTINEL_PASSWORD=" + hidden, err: "redis-sentinel://"},
	} {
		e, err := read(strings.Fields(c.words)...)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), hidden)):
			t.Errorf("%s: %v, want %s", c.words, err, c.err)
		case c.err == "" && (err != nil || e.String() != c.shown):
			t.Errorf("%s: %s %v, want %s", c.words, e, err, c.shown)
		}
		if c.err != "" || err != nil {
			continue
		}
		type shut struct{ redis redisconn.Endpoint }
		b, err := json.Marshal(e)
		if out := fmt.Sprintf("%v %+v %#v %+v %#v %s %v", e, e, e, shut{e}, shut{e}, b, e.Arguments()); err != nil || strings.Contains(out, hidden) {
			t.Errorf("%s prints as %s %v", c.words, out, err)
		}
		// A child that is started so has the same.
		child, err := read(append(e.Arguments(), e.Environ()...)...)
		if err != nil || child.String() != e.String() || child.Password.Text.Reveal() != e.Password.Text.Reveal() || child.Sentinel.Text.Reveal() != e.Sentinel.Text.Reveal() ||
			child.TLS != e.TLS || child.User != e.User {
			t.Errorf("%s: the child has %#v, not %#v: %v", c.words, child, e, err)
		}
	}
}

// A worker gets what is no secret from the job, and the rest from its own machine.
func TestWorkerFindsItsPassword(t *testing.T) {
	for _, c := range []struct{ words, env, err string }{
		{words: "--redis h:1 --redis-password-file " + testenv.SecretFile(t, hidden)},
		{words: "PULSEBOARD_REDIS=redis://u:" + hidden + "@h:1", env: hidden},
		{words: "PULSEBOARD_REDIS=redis://u:" + hidden + "@h:1", err: "set PULSEBOARD_REDIS_PASSWORD where it runs"},
	} {
		e, err := read(strings.Fields(c.words)...)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(e)
		if err != nil || strings.Contains(string(b), hidden) {
			t.Fatalf("%s %v", b, err)
		}
		t.Setenv("PULSEBOARD_REDIS_PASSWORD", c.env)
		var worker redisconn.Endpoint
		if err := json.Unmarshal(b, &worker); err != nil {
			t.Fatal(err)
		}
		err = worker.Find()
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.words, err, c.err)
			}
			continue
		}
		if err != nil || worker.Password.Text.Reveal() != hidden || worker.String() != e.String() {
			t.Errorf("%s: %#v %v", c.words, worker, err)
		}
	}
}
