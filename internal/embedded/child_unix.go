//go:build unix && !linux

package embedded

import "syscall"

// Only Linux can tell a child that its parent has died.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
