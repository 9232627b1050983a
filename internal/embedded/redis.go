package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/internal/redisconn"
)

// RedisConfig is how to run Redis.
type RedisConfig struct {
	Dir            string    // Folder for the socket, made when absent.
	ForceInProcess bool      // Do not look for redis-server.
	MaxMemory      string    // Of the child, as Redis writes it; "" = 2gb.
	Output         io.Writer // Gets the log lines of the child; nil = nowhere.
	Log            *slog.Logger
}

// Kinds of Redis.
const (
	RedisServer    = "redis-server" // A child.
	RedisInProcess = "miniredis"    // A tenth of the speed, enough for one person's dashboards.
)

// Redis is a running Redis without persistence: what it holds, the rest of the
// system writes again.
type Redis struct {
	addr   string
	kind   string
	child  *Child
	tmpDir string

	// Of the one in process, which ends only in Close.
	mini      *miniredis.Miniredis
	lis       net.Listener
	accepting sync.WaitGroup
	done      chan struct{}
}

const (
	// Before this process, which holds what is acknowledged, and after the pipeline, which holds more.
	redisExpendable = 250

	readyTime     = 5 * time.Second
	maxSocketPath = 100 // The kernel allows 107 bytes.
)

// StartRedis starts redis-server when it is on PATH, else Redis in this
// process, and returns when it answers.
func StartRedis(ctx context.Context, c RedisConfig) (*Redis, error) {
	if c.Log == nil {
		return nil, errors.New("cannot start Redis: no Log is set")
	}
	if !c.ForceInProcess {
		path, err := exec.LookPath("redis-server")
		if err == nil {
			return startRedisServer(ctx, path, c)
		}
		c.Log.Info("redis-server is not on PATH; using the slower Redis in this process")
	}
	return startInProcess(ctx, c)
}

// startInProcess serves on a socket that only this user may connect to: every user of
// this machine could connect to a port.
func startInProcess(ctx context.Context, c RedisConfig) (*Redis, error) {
	fail := func(err error) error { return fmt.Errorf("cannot start Redis in this process: %w", err) }
	r := &Redis{kind: RedisInProcess, mini: miniredis.NewMiniRedis(), done: make(chan struct{})}
	socket, err := r.socket(c.Dir)
	if err != nil {
		return nil, fail(err)
	}
	r.addr = "unix://" + socket
	r.mini.ClockTTL(true)       // Else nothing ever expires.
	first, err := r.mini.Dial() // Which starts it, without a port.
	if err != nil {
		return nil, fail(err)
	}
	_ = first.Close() // Nothing was asked.
	if r.lis, err = listenPrivate(ctx, socket); err != nil {
		return nil, fail(err)
	}
	server := r.mini.Server()
	r.accepting.Go(func() {
		for {
			conn, err := r.lis.Accept()
			if err != nil {
				return // Closed.
			}
			server.ServeConn(newAnswers(conn, roomPatience))
		}
	})
	return r, nil
}

// listenPrivate makes a socket with mode 0700 from its first moment on.
func listenPrivate(ctx context.Context, socket string) (net.Listener, error) {
	// The mask is that of the process: what others make meanwhile is private too.
	defer syscall.Umask(syscall.Umask(0o077))
	var lc net.ListenConfig
	return lc.Listen(ctx, "unix", socket)
}

func startRedisServer(ctx context.Context, path string, c RedisConfig) (*Redis, error) {
	r := &Redis{kind: RedisServer}
	socket, err := r.socket(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder for Redis: %w", err)
	}
	r.addr = "unix://" + socket
	r.child, err = StartChild(ChildConfig{
		Name: "redis-server", Path: path, Output: c.Output, Expendable: redisExpendable,
		// noeviction: a full Redis must refuse, not forget a part of a history.
		Args: []string{
			"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--save", "", "--appendonly", "no",
			"--maxmemory", cmp.Or(c.MaxMemory, "2gb"), "--maxmemory-policy", "noeviction", "--daemonize", "no", "--logfile", "", "--loglevel", "warning",
		},
	})
	if err == nil {
		err = r.ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// socket returns the path of the socket: in dir, unless that path is too long for a socket.
func (r *Redis) socket(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "redis.sock")
	if len(path) <= maxSocketPath {
		err := os.MkdirAll(dir, 0o700)
		if err == nil {
			// One that a killed process left would look ready.
			if err = os.Remove(path); errors.Is(err, os.ErrNotExist) {
				err = nil
			}
		}
		return path, err
	}
	if r.tmpDir, err = os.MkdirTemp("", "pulseboard-redis-"); err != nil {
		return "", err
	}
	return filepath.Join(r.tmpDir, "redis.sock"), nil
}

// ready waits until the child answers.
func (r *Redis) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := redisconn.Open(ctx, redisconn.At(r.addr))
		if err == nil {
			return c.Close()
		}
		select {
		case <-r.child.Done():
			return r.child.Err()
		case <-ctx.Done():
			return fmt.Errorf("cannot use redis-server: no answer on %s: %w", r.addr, err)
		case <-tick.C:
		}
	}
}

// Addr returns unix:// and the path of a socket.
func (r *Redis) Addr() string { return r.addr }

// Kind returns RedisServer or RedisInProcess.
func (r *Redis) Kind() string { return r.kind }

// Done is closed when Redis has ended; Err then returns how.
func (r *Redis) Done() <-chan struct{} {
	if r.child != nil {
		return r.child.Done()
	}
	return r.done
}

// Err waits for the end of Redis and returns how it ended.
func (r *Redis) Err() error {
	if r.child != nil {
		return r.child.Err()
	}
	<-r.done
	return errors.New("the Redis in this process was closed")
}

// Close ends Redis and waits for that. It may be called once.
func (r *Redis) Close() error {
	var err error
	if r.child != nil {
		err = r.child.Close()
	}
	if r.mini != nil {
		err = r.lis.Close() // It takes the socket away.
		r.accepting.Wait()
		r.mini.Close()
		close(r.done)
	}
	if r.tmpDir != "" {
		err = errors.Join(err, os.RemoveAll(r.tmpDir))
	}
	return err
}
