package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// RedisServer is a real Redis.
type RedisServer struct {
	*Server

	addr string
}

// StartRedis starts an empty one.
func StartRedis(t *testing.T) *RedisServer {
	t.Helper()
	p := Ports(t, 1)
	r := &RedisServer{addr: address(p)}
	r.Server = newServer(t, t.TempDir(), "redis", "redis-server", "--port", fmt.Sprint(p), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--maxmemory", "2gb", "--maxmemory-policy", "noeviction")
	r.Restart()
	return r
}

// NeedRedis leaves a test out where there is no redis-server.
func NeedRedis(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server on this machine; .ci/run installs Debian's")
	}
}

// RedisPort stands for the port in the lines of StartRedisWith.
const RedisPort = "@PORT"

// StartRedisWith starts a redis-server with lines of configuration, in which RedisPort is its
// port, and returns its address. Passwords stand in its file, not in its arguments. Sentinels are
// one too, with the argument --sentinel.
func StartRedisWith(t *testing.T, lines string, args ...string) (*Server, string) {
	t.Helper()
	p, dir := Ports(t, 1), t.TempDir()
	file := filepath.Join(dir, "redis.conf")
	write(t, file, strings.ReplaceAll("bind 127.0.0.1\nsave \"\"\n"+lines+"\n", RedisPort, fmt.Sprint(p)))
	s := newServer(t, dir, "redis", "redis-server", append([]string{file}, args...)...)
	s.Start()
	s.until("Redis", func(ctx context.Context) error { return dial(ctx, address(p)) })
	return s, address(p)
}

// Addr returns host:port.
func (r *RedisServer) Addr() string { return r.addr }

// Configure sets one of its parameters.
func (r *RedisServer) Configure(name, value string) error {
	client := redis.NewClient(&redis.Options{Addr: r.addr})
	defer client.Close() //nolint:errcheck // It was set.
	return client.ConfigSet(r.t.Context(), name, value).Err()
}

// Restart starts it, empty, on its port.
func (r *RedisServer) Restart() {
	r.t.Helper()
	r.Start()
	client := redis.NewClient(&redis.Options{Addr: r.addr})
	defer client.Close() //nolint:errcheck // It only asked.
	r.until("Redis", func(ctx context.Context) error { return client.Ping(ctx).Err() })
}

// Postgres returns the URL of an empty database.
func Postgres(t *testing.T) string {
	t.Helper()
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		t.Fatal("no PostgreSQL is installed")
	}
	bin := bins[len(bins)-1]
	dir, err := os.MkdirTemp("", "pulseboard-pg-") //nolint:usetesting // The folder of a test is of root alone.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data, port := filepath.Join(dir, "data"), Ports(t, 1)
	var prefix []string
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root.
		if err := os.Chown(dir, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		prefix = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	}
	command := func(name string, args ...string) *Server {
		all := append(append([]string{}, prefix...), append([]string{filepath.Join(bin, name)}, args...)...)
		s := newServer(t, t.TempDir(), name, all[0], all[1:]...)
		s.config.Dir = "/"
		s.Start()
		return s
	}
	initdb := command("initdb", "-U", "app", "-A", "trust", "--no-sync", "-D", data)
	<-initdb.child.Done()
	if err := initdb.child.Err(); !strings.Contains(err.Error(), "exit code 0") {
		t.Fatal(err)
	}
	server := command("postgres", "-D", data, "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", fmt.Sprintf("port=%d", port), "-c", "unix_socket_directories=")
	url := fmt.Sprintf("postgres://app@127.0.0.1:%d/postgres?sslmode=disable", port)
	server.until("PostgreSQL", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	return url
}
