//go:build unix && !linux

package embedded

import "syscall"

// Only Linux has a signal for the death of the parent.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// Only Linux has a score of what to end first.
func expend(int, int) {}
