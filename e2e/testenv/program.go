package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
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

// Made returns the program of ours in the folder that PULSEBOARD_PROGRAMS names, as make does
// for what it has just built: linking one takes seconds, and several packages need each.
// Looking at it makes go test forget results that are of an older one.
func Made(program string) (path string, ok bool) {
	dir := os.Getenv("PULSEBOARD_PROGRAMS")
	if dir == "" {
		return "", false
	}
	path = filepath.Join(dir, program)
	_, err := os.Stat(path)
	return path, err == nil
}

// Build returns the path of a program of ours, compiled with flags of go build, if there are any.
func Build(t *testing.T, program string, flags ...string) string {
	t.Helper()
	if path, ok := Made(program); ok && len(flags) == 0 {
		return path
	}
	path := filepath.Join(t.TempDir(), program)
	args := append([]string{"build", "-o", path}, flags...)
	if out, err := exec.CommandContext(t.Context(), "go", append(args, "pulseboard/cmd/"+program)...).CombinedOutput(); err != nil {
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

// Done is closed when it has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

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
