// Package profile serves the profiles of a process (net/http/pprof) to its own user.
//
// A heap profile and a trace hold what the process holds, tokens and events too. So
// they are off unless a flag names a folder, which must be this user's alone, and each
// process listens there on a Unix socket, NAME-PID, and nowhere else.
package profile

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Flag defines the flag of a process that names the folder. Its path becomes absolute: a
// worker of Flink, which is given it, runs in another folder.
func Flag(f *flag.FlagSet, dir *string) {
	f.Func("pprof", "`folder` in which the profiles of Go are served, on a Unix socket for each process that its user alone may connect to (docs/operations.md);\nmade when it is not there; empty = they are not served", func(text string) (err error) {
		if *dir = text; text != "" {
			*dir, err = filepath.Abs(text)
		}
		return err
	})
}

// Server answers /debug/pprof/ on a socket. A nil Server serves nothing.
type Server struct {
	http *http.Server
	done chan struct{}
}

// Open serves on NAME-PID in the folder until Close; dir "" = nil, which is no
// server. The error of a folder that others may enter says what to do.
func Open(dir, name string) (*Server, error) {
	if dir == "" {
		return nil, nil
	}
	if err := own(dir); err != nil {
		return nil, fmt.Errorf("cannot serve profiles: %w", err)
	}
	sweep(dir)
	path := filepath.Join(dir, name+"-"+strconv.Itoa(os.Getpid()))
	_ = os.Remove(path) // Of a process that had the number before and was killed; most often there is none.
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot serve profiles on the socket %s, whose path may have 100 bytes: %w", path, err)
	}
	// Until here the folder has kept others out.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot serve profiles: %w", err), ln.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	s := &Server{http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(ln) // Until Close.
	}()
	return s, nil
}

// Close ends it, requests under way included, and takes the socket away.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	err := s.http.Close()
	<-s.done
	return err
}

// own makes the folder, or checks that nobody but this user may enter it.
func own(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return nil
	}
	if !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w; name a folder with --pprof whose parent is there", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	of, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("--pprof is %s, which is no folder", dir)
	case ok && int(of.Uid) != os.Geteuid():
		return fmt.Errorf("the folder %s of --pprof belongs to another user: name one that is this user's, or that is not there yet", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others than its user may use the folder %s of --pprof (%v), and profiles hold tokens: chmod 700 it, or name one that is not there yet", dir, info.Mode().Perm())
	}
	return nil
}

// sweep takes away the sockets of processes that were killed: those on which nothing
// listens any more, and whose process is gone, since one that starts does not listen yet.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // They are in nobody's way.
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name()[strings.LastIndexByte(e.Name(), '-')+1:])
		if err != nil || e.Type() != os.ModeSocket || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if err == nil {
			_ = c.Close() // It lives, in another container.
			continue
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(path)
		}
	}
}
