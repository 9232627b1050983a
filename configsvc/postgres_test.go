package configsvc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pulseboard/internal/secret"
)

func TestPostgresStore(t *testing.T) {
	server := startPostgres(t)
	var made atomic.Int64
	testStore(t, func(t *testing.T) *Store {
		t.Helper()
		name := fmt.Sprintf("test%d", made.Add(1))
		server.createDatabase(t, name)
		s, err := OpenStore(t.Context(), server.address(name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		again, err := OpenStore(t.Context(), server.address(name))
		if err != nil {
			t.Fatalf("a second node: %v", err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		return s
	})
	if _, err := OpenStore(t.Context(), server.address("none")); err == nil || !bytes.Contains([]byte(err.Error()), []byte(`database "none" does not exist`)) {
		t.Errorf("a database that is not there: %v", err)
	}
}

// postgres is a server on a Unix socket.
type postgres struct{ dir string }

func (p *postgres) address(database string) Database {
	d, err := ParseDatabase("postgres://postgres@/"+database+"?host="+p.dir, secret.Text{})
	if err != nil {
		panic(err)
	}
	return d
}

func (p *postgres) createDatabase(t *testing.T, name string) {
	t.Helper()
	s, err := OpenStore(t.Context(), p.address("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // It was only used for this.
	if _, err := s.db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
}

func startPostgres(t *testing.T) *postgres {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("there is no PostgreSQL on this machine; .ci/run installs Debian's")
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "pulseboard-pg-") //nolint:usetesting // A socket's path is short, and the server may run as another user.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	identity := unprivileged(t, dir)
	command := func(name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, identity
		// SIGINT is a fast shutdown.
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		return cmd, &out
	}
	files := filepath.Join(dir, "files")
	if cmd, out := command("initdb", "--pgdata", files, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync"); cmd.Run() != nil {
		t.Fatalf("initdb: %s", out)
	}
	cmd, out := command("postgres", "-D", files, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		<-ended //nolint:errcheck // It was told to end.
	})
	p := &postgres{dir}
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	limit := time.After(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		s, err := OpenStore(ctx, p.address("postgres"))
		cancel()
		if err == nil {
			_ = s.Close()
			return p
		}
		select {
		case <-every.C:
		case <-limit:
			t.Fatalf("PostgreSQL does not answer: %v; its log: %s", err, out)
		}
	}
}

// unprivileged makes dir that of the user as whom the server runs: it refuses to run as root.
func unprivileged(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres") // Made by the package.
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
