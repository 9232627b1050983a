package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// Buffer takes what a process prints, and may be read meanwhile.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Build compiles a program of ours, with flags of go build, and returns its path.
func Build(t *testing.T, program string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), program)
	args := append([]string{"build", "-o", path}, flags...)
	if out, err := exec.CommandContext(t.Context(), "go", append(args, "pulseboard/cmd/"+program)...).CombinedOutput(); err != nil { //nolint:gosec // Our own program.
		t.Fatalf("cannot build %s: %v: %s", program, err, out)
	}
	return path
}

// Program is a command that a test starts and kills. It is killed with the test.
type Program struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts it, until the test ends; log gets what it prints.
func Start(t *testing.T, log *Buffer, path string, args ...string) *Program {
	t.Helper()
	p := &Program{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // It is killed.
	}()
	t.Cleanup(p.Kill)
	return p
}

// Pid returns the process id.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// Kill is kill -9, and waits for the end.
func (p *Program) Kill() {
	_ = p.cmd.Process.Kill() // It may have ended by itself, which its log says.
	<-p.done
}

// Stop is SIGTERM, and waits for the end, which must be a good one.
func (p *Program) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-p.done
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s ended with %s", p.cmd.Path, p.cmd.ProcessState)
	}
	return nil
}
