package embedded

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Both kinds of Redis do what Pulseboard needs of them.
func TestRedis(t *testing.T) {
	for _, kind := range []string{RedisInProcess, RedisServer} {
		t.Run(kind, func(t *testing.T) {
			r := startRedis(t, kind, t.TempDir())
			client := redisClient(t, r)
			ctx := background(t)

			sub := client.Subscribe(ctx, "key")
			defer sub.Close() //nolint:errcheck // Nothing is left to be read.
			if _, err := sub.Receive(ctx); err != nil {
				t.Fatal(err)
			}
			add := func(id string) error {
				return client.XAdd(ctx, &redis.XAddArgs{Stream: "history", ID: id, Values: []string{"r", "{}"}, MaxLen: 600, Approx: true}).Err()
			}
			if err := add("2000-0"); err != nil {
				t.Fatal(err)
			}
			if add("2000-0") == nil || add("1000-0") == nil {
				t.Error("a window that is repeated, or older, was accepted")
			}
			if err := client.Publish(ctx, "key", "v").Err(); err != nil {
				t.Fatal(err)
			}
			if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "v" {
				t.Errorf("received %v, %v", m, err)
			}
			now, err := client.Time(ctx).Result()
			if err != nil || time.Since(now).Abs() > time.Minute {
				t.Errorf("TIME is %v, %v", now, err)
			}
			// Old keys go away by themselves.
			if err := client.Set(ctx, "short", "v", 5*time.Millisecond).Err(); err != nil {
				t.Fatal(err)
			}
			for client.Exists(ctx, "short").Val() != 0 {
				if ctx.Err() != nil {
					t.Fatal("a key does not expire")
				}
			}
			select {
			case <-r.Done():
				t.Error("it has ended by itself")
			default:
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			<-r.Done()
			if client.Ping(ctx).Err() == nil {
				t.Error("it answers after Close")
			}
		})
	}
}

// A client that reads no answer before it has sent all of its commands is served, however many and
// long those are: what results.TakeBack writes in one transaction, say.
func TestRedisTakesMoreThanASocketHolds(t *testing.T) {
	for _, kind := range []string{RedisInProcess, RedisServer} {
		t.Run(kind, func(t *testing.T) {
			r := startRedis(t, kind, t.TempDir())
			client := redisClient(t, r)
			for name, pipe := range map[string]redis.Pipeliner{"pipeline": client.Pipeline(), "transaction": client.TxPipeline()} {
				for i := range 5000 {
					pipe.XAdd(background(t), &redis.XAddArgs{Stream: name, ID: strconv.Itoa(i+1) + "-0", Values: []string{"r", strings.Repeat("x", 1000)}})
				}
				if _, err := pipe.Exec(background(t)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if n := client.XLen(background(t), name).Val(); n != 5000 {
					t.Errorf("%s: %d of 5000 entries are there", name, n)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRedisThatDies(t *testing.T) {
	dir := t.TempDir()
	r := startRedis(t, RedisServer, dir)
	r.child.Kill()
	<-r.Done()
	if err := r.Err(); !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Err: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	again := startRedis(t, RedisServer, dir) // The socket it left does not matter.
	if err := redisClient(t, again).Ping(background(t)).Err(); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestRedisInAFolderWithALongPath(t *testing.T) {
	for _, kind := range []string{RedisInProcess, RedisServer} {
		t.Run(kind, func(t *testing.T) {
			r := startRedis(t, kind, filepath.Join(t.TempDir(), strings.Repeat("long/", 30)))
			if err := redisClient(t, r).Ping(background(t)).Err(); err != nil {
				t.Error(err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The socket is this user's alone, also in a folder that others may enter.
func TestRedisIsPrivate(t *testing.T) {
	for _, kind := range []string{RedisInProcess, RedisServer} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			r := startRedis(t, kind, dir)
			path := strings.TrimPrefix(r.Addr(), "unix://")
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has the mode %v, %v: others may connect", r.Addr(), info.Mode(), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func startRedis(t *testing.T, kind, dir string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); kind == RedisServer && err != nil {
		t.Skip("redis-server is not on PATH")
	}
	r, err := StartRedis(background(t), RedisConfig{Dir: dir, ForceInProcess: kind == RedisInProcess, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if r.Kind() != kind {
		t.Fatalf("kind %s, want %s", r.Kind(), kind)
	}
	return r
}

func redisClient(t *testing.T, r *Redis) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}
