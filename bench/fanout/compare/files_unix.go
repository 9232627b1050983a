//go:build unix

package main

import (
	"fmt"
	"syscall"
)

// enoughFiles reports whether as many connections may be open. Go has raised
// the limit as far as it may be raised.
func enoughFiles(connections int) error {
	const besides = 500 // Of the servers, which have the same limit, and their feed.
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	if need := uint64(connections + besides); l.Cur < need {
		return fmt.Errorf("--connections is %d, but only %d files may be open: raise the limit to %d (ulimit -n), or choose fewer", connections, l.Cur, need)
	}
	return nil
}
