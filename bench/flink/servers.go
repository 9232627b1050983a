package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"pulseboard/bench/broker"
	"pulseboard/internal/embedded"
)

// servers are the child processes. The kernel kills them when this one dies.
type servers struct {
	dir     string
	all     []*server
	closers []func()
	died    chan error
}

type server struct {
	*embedded.Child

	name string
}

// start starts a process whose output goes to a log, and also to more.
func (s *servers) start(name, path string, env []string, more io.Writer, args ...string) (*server, error) {
	if s.died == nil {
		s.died = make(chan error, 16)
	}
	logs := filepath.Join(s.dir, "logs")
	if err := os.MkdirAll(logs, 0o750); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(logs, name+".log"))
	if err != nil {
		return nil, err
	}
	var out io.Writer = log
	if more != nil {
		out = io.MultiWriter(log, more)
	}
	c, err := embedded.StartChild(embedded.ChildConfig{Name: name, Path: path, Args: args, Env: append(os.Environ(), env...), Dir: s.dir, Output: out})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() {
		if name == localName { // Flink is its child, which it ends.
			_ = c.Close() // One that had to be killed is gone too.
		}
		c.Kill()
		_ = log.Close()
	})
	one := &server{c, name}
	s.all = append(s.all, one)
	return one, nil
}

// guard makes the end of a process the end of the measurement.
func (s *servers) guard() {
	for _, one := range s.all {
		go func() {
			<-one.Done()
			s.died <- one.Err()
		}()
	}
}

func (s *servers) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

// How long a server may take to begin.
const patience = 2 * time.Minute

// until repeats a check until it holds, as long as the process lives.
func (s *server) until(ctx context.Context, what string, ok func(context.Context) error) error {
	return broker.Until(ctx, s.Child, what, ok)
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // It is a listener's.
	return port
}
