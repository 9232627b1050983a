package testenv

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Process is one of this machine.
type Process struct {
	Pid     int
	Command string // Its arguments, separated by spaces.
}

// Children returns the processes that a process has started.
func Children(parent int) []Process {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // The pattern is right.
	var out []Process
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended.
		}
		var ppid int
		var state string
		if _, err := fmt.Sscanf(string(b[bytes.LastIndexByte(b, ')')+1:]), "%s %d", &state, &ppid); err != nil || ppid != parent || state == "Z" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err == nil {
			out = append(out, Process{pid, strings.ReplaceAll(string(cmdline), "\x00", " ")})
		}
	}
	return out
}

// Child returns the child whose command has this text, 0 = none.
func Child(parent int, text string) int {
	for _, p := range Children(parent) {
		if strings.Contains(p.Command, text) {
			return p.Pid
		}
	}
	return 0
}

// Freeze lets a process stand still until thaw is called, or the test ends.
func Freeze(tb testing.TB, pid int) (thaw func()) {
	tb.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		tb.Fatalf("cannot stop process %d: %v", pid, err)
	}
	thaw = sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // It may have been killed meanwhile.
	tb.Cleanup(thaw)
	return thaw
}
