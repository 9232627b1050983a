package redisconn_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
)

// What docs/access.md says that the user of Redis needs.
const aclUser = "user default off\nuser pulseboard on >" + hidden + " ~* &* +@all -@admin -@dangerous"

func tlsLines(c testenv.Certificate, more string) string {
	return "port 0\ntls-port " + testenv.RedisPort + "\ntls-cert-file " + c.Cert + "\ntls-key-file " + c.Key + "\n" + more
}

// try opens what the words say, and returns in one line how that ended.
func try(t *testing.T, words ...string) string {
	t.Helper()
	e, err := read(words...)
	if err == nil {
		var c *redisconn.Client
		if c, err = redisconn.Open(t.Context(), e); err == nil {
			return errText(c.Set(t.Context(), "k", "v", 0).Err(), c.Close())
		}
	}
	return err.Error()
}

func errText(errs ...error) string {
	for _, err := range errs {
		if err != nil {
			return err.Error()
		}
	}
	return "ok"
}

// Real servers: each way in works, and each mistake is one sentence that names the flag.
func TestWaysIn(t *testing.T) {
	testenv.NeedRedis(t)
	authority, stranger := testenv.NewAuthority(t), testenv.NewAuthority(t)
	own := authority.Issue(t, "client", nil)
	foreign := stranger.Issue(t, "client", nil)
	good := authority.Issue(t, "server", nil)
	_, open := testenv.StartRedisWith(t, "port "+testenv.RedisPort)
	_, locked := testenv.StartRedisWith(t, "port "+testenv.RedisPort+"\nrequirepass "+hidden)
	_, secured := testenv.StartRedisWith(t, tlsLines(good, "tls-auth-clients no\n"+aclUser))
	_, mutual := testenv.StartRedisWith(t, tlsLines(good, "tls-ca-cert-file "+authority.File))
	_, expired := testenv.StartRedisWith(t, tlsLines(authority.Issue(t, "expired", testenv.Expired), "tls-auth-clients no"))
	_, misnamed := testenv.StartRedisWith(t, tlsLines(authority.Issue(t, "misnamed", testenv.OtherName), "tls-auth-clients no"))
	_, limited := testenv.StartRedisWith(t, "port "+testenv.RedisPort+"\nuser limited on >"+hidden+" ~other:* +@all")
	_, cluster := testenv.StartRedisWith(t, "port "+testenv.RedisPort+"\ncluster-enabled yes")
	password, wrong := "PULSEBOARD_REDIS_PASSWORD="+hidden, "PULSEBOARD_REDIS_PASSWORD=wrong-"+hidden
	ca := []string{"--redis-ca", authority.File}
	for _, c := range []struct {
		name  string
		words []string
		want  string
	}{
		{"open", []string{"--redis", open}, "ok"},
		{"password", []string{"--redis", locked, password}, "ok"},
		{"password in the address", []string{"PULSEBOARD_REDIS=redis://:" + hidden + "@" + locked}, "ok"},
		{"TLS and ACL", append(ca, "--redis", "rediss://pulseboard@"+secured, password), "ok"},
		{"both certificates", append(ca, "--redis", mutual, "--redis-cert", own.Cert, "--redis-key", own.Key), "ok"},

		{"no password", []string{"--redis", locked}, "--redis-password-file"},
		{"wrong password", []string{"--redis", locked, wrong}, "does not take the password of the default user"},
		{"wrong password in the address", []string{"PULSEBOARD_REDIS=redis://:wrong-" + hidden + "@" + locked}, "does not take the password"},
		{"wrong user", append(ca, "--redis", "rediss://nobody@"+secured, password), `the user "nobody"`},
		{"no login with ACL", append(ca, "--redis", "rediss://"+secured), "--redis-password-file"},
		{"unknown authority", []string{"--redis", "rediss://" + secured}, "name the file of its authority with --redis-ca"},
		{"wrong authority", []string{"--redis", "rediss://" + secured, "--redis-ca", stranger.File}, "--redis-ca"},
		{"expired", append(ca, "--redis", "rediss://"+expired), "renew it, or set the clock right"},
		{"another name", append(ca, "--redis", "rediss://"+misnamed), "is not for that name"},
		{"no certificate of ours", append(ca, "--redis", mutual), "--redis-cert and --redis-key"},
		{"a foreign certificate", append(ca, "--redis", mutual, "--redis-cert", foreign.Cert, "--redis-key", foreign.Key), "does not take the certificate of --redis-cert"},
		{"TLS to one without", append(ca, "--redis", open), "does not answer in TLS"},
		{"no TLS to one with", []string{"--redis", secured}, "rediss://"},
		{"not allowed", []string{"--redis", "redis://limited@" + limited, password}, "docs/access.md"},
		{"Cluster", []string{"--redis", cluster}, "it is a Redis Cluster"},
		{"nobody there", []string{"--redis", "127.0.0.1:1"}, "start it or pass another address with --redis"},
	} {
		got := try(t, c.words...)
		if !strings.Contains(got, c.want) || strings.Contains(got, hidden) || strings.Contains(got, "\n") {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
		if c.want != "ok" {
			t.Logf("%s: %s", c.name, got)
		}
	}
}

// With Sentinels the loss of the master is a matter of seconds, for commands and subscriptions.
func TestSentinelFailover(t *testing.T) {
	testenv.NeedRedis(t)
	lines := "port " + testenv.RedisPort + "\nrequirepass " + hidden + "\nmasterauth " + hidden + "\n"
	master, masterAddr := testenv.StartRedisWith(t, lines)
	port := func(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }
	_, replicaAddr := testenv.StartRedisWith(t, lines+"replicaof 127.0.0.1 "+port(masterAddr))
	_, sentinel := testenv.StartRedisWith(t, "port "+testenv.RedisPort+"\nrequirepass s-"+hidden+"\nsentinel monitor mymaster 127.0.0.1 "+port(masterAddr)+" 1\n"+
		"sentinel auth-pass mymaster "+hidden+"\nsentinel down-after-milliseconds mymaster 2000\nsentinel failover-timeout mymaster 3000", "--sentinel")

	asked := redis.NewSentinelClient(&redis.Options{Addr: sentinel, Password: "s-" + hidden})
	defer asked.Close() //nolint:errcheck // It only asked.
	testenv.Until(t, "the Sentinel knows a replica in step", func(ctx context.Context) error {
		replicas, err := asked.Replicas(ctx, "mymaster").Result()
		if err == nil && (len(replicas) != 1 || replicas[0]["master-link-status"] != "ok") {
			err = fmt.Errorf("%v", replicas)
		}
		return err
	})
	if got := try(t, "--redis", "redis-sentinel://"+sentinel+"/other", "PULSEBOARD_REDIS_PASSWORD="+hidden, "PULSEBOARD_REDIS_SENTINEL_PASSWORD=s-"+hidden); !strings.Contains(got, "know as other") {
		t.Errorf("another name: %s", got)
	}
	e, err := read("--redis", "redis-sentinel://"+sentinel+"/mymaster", "PULSEBOARD_REDIS_PASSWORD="+hidden, "PULSEBOARD_REDIS_SENTINEL_PASSWORD=s-"+hidden)
	if err != nil {
		t.Fatal(err)
	}
	c, err := redisconn.Open(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // The test ends.
	var h heard
	sub := c.Listen(t.Context(), h.message, h.again, "channel")
	defer sub.Close()
	master.Kill()
	testenv.Until(t, "writes go on", func(ctx context.Context) error { return c.Set(ctx, "after", "x", 0).Err() })
	hears(t, c.Client, &h, "channel", "x")
	replica := redis.NewClient(&redis.Options{Addr: replicaAddr, Password: hidden})
	defer replica.Close() //nolint:errcheck // It only asked.
	if v, err := replica.Get(t.Context(), "after").Result(); v != "x" {
		t.Errorf("the replica has %q, %v", v, err)
	}
}
