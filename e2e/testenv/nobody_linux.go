package testenv

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// nobody is a user of most machines, who owns nothing.
const nobody = 65534

// ErrNotRoot is returned by AsNobody to those who cannot become another user.
var ErrNotRoot = errors.New("only root can become another user")

// AsNobody runs do as another user of this machine. Only what do does in its own
// goroutine is done as that user: its system calls are those of one thread.
func AsNobody(do func() error) error {
	if os.Getuid() != 0 {
		return ErrNotRoot
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // For ever: the thread ends with this goroutine, and nobody gets it after that.
		// Raw, since syscall.Setuid is for all threads. The groups first, while it may.
		for _, call := range [][4]uintptr{
			{syscall.SYS_SETGROUPS}, {syscall.SYS_SETRESGID, nobody, nobody, nobody}, {syscall.SYS_SETRESUID, nobody, nobody, nobody},
		} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				done <- fmt.Errorf("cannot become another user: %w", errno)
				return
			}
		}
		done <- do()
	}()
	return <-done
}
