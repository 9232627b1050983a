package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ChildConfig is what to run.
type ChildConfig struct {
	Name   string // For messages.
	Path   string // Of the program.
	Args   []string
	Env    []string      // nil = Environ().
	Dir    string        // Working directory; "" = that of this process.
	Output io.Writer     // Gets stdout and stderr, one whole line a call, from one goroutine. nil = nowhere.
	Grace  time.Duration // Between SIGTERM and SIGKILL; 0 = 5 s.

	// How much sooner than this process the kernel ends it for want of memory, 0 to 1000 (on Linux).
	Expendable int
}

// Child is a running process that ends with this one, also when this one is
// killed (on Linux). It leads a process group of its own, so that Ctrl-C
// reaches it only through Close.
type Child struct {
	name  string
	grace time.Duration
	cmd   *exec.Cmd
	lines *lineWriter
	done  chan struct{}
	err   error // How it ended; read after done.
}

const (
	defaultGrace = 5 * time.Second
	// How long after its end the output of a child may be held open by its own children.
	outputDelay = 2 * time.Second
)

// StartChild starts a process.
func StartChild(c ChildConfig) (*Child, error) {
	c.Grace = cmp.Or(c.Grace, defaultGrace)
	if c.Env == nil {
		c.Env = Environ()
	}
	if c.Output == nil {
		c.Output = io.Discard
	}
	p := &Child{name: c.Name, grace: c.Grace, lines: &lineWriter{out: c.Output}, done: make(chan struct{})}
	p.cmd = exec.Command(c.Path, c.Args...) //nolint:noctx // It ends in Close, gently, not with a context.
	p.cmd.Env, p.cmd.Dir = c.Env, c.Dir
	p.cmd.Stdout, p.cmd.Stderr = p.lines, p.lines
	p.cmd.SysProcAttr = childAttr()
	p.cmd.WaitDelay = outputDelay
	started := make(chan error)
	go func() {
		// The kernel's "parent has died" signal is sent when the thread ends
		// that started the child. So this thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		if err == nil {
			expend(p.cmd.Process.Pid, c.Expendable)
		}
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		p.lines.end()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", c.Name, err)
	}
	return p, nil
}

// Pid returns the process id.
func (p *Child) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Child) Done() <-chan struct{} { return p.done }

// Err waits for the end of the process and returns how it ended, with its last output.
func (p *Child) Err() error {
	<-p.done
	err := p.err
	if err == nil {
		err = errors.New("with exit code 0")
	}
	if tail := p.lines.tailText(); tail != "" {
		return fmt.Errorf("%s ended: %w; its last output:\n%s", p.name, err, tail)
	}
	return fmt.Errorf("%s ended: %w", p.name, err)
}

// Close asks the process to end with SIGTERM, ends it and its group with
// SIGKILL after the grace, and waits for it. A process that had to be killed is an error.
func (p *Child) Close() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.kill()
	}
	t := time.NewTimer(p.grace)
	defer t.Stop()
	select {
	case <-p.done:
		return nil
	case <-t.C:
	}
	p.kill()
	<-p.done
	return fmt.Errorf("%s did not end within %v and was killed", p.name, p.grace)
}

// Kill ends the process and its group at once and waits for it.
func (p *Child) Kill() {
	select {
	case <-p.done:
		return
	default:
	}
	p.kill()
	<-p.done
}

// kill sends SIGKILL to the group. Its leader has not been waited for, so the id is still its own.
func (p *Child) kill() {
	_ = syscall.Kill(-p.Pid(), syscall.SIGKILL) // One that is gone is what is wanted.
}

// Environ is the environment of this process without our own variables, some of
// which hold passwords, and with others. It is the default of children.
func Environ(with ...string) []string {
	return append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PULSEBOARD_") }), with...)
}
