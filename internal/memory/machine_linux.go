package memory

import "syscall"

// machine is how much memory this machine has in bytes, 0 = unknown.
func machine() int64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}
