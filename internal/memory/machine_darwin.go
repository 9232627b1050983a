package memory

import (
	"encoding/binary"
	"syscall"
)

// machine is how much memory this machine has in bytes, 0 = unknown.
func machine() int64 {
	text, err := syscall.Sysctl("hw.memsize")
	if err != nil {
		return 0
	}
	var b [8]byte // Sysctl takes the number for a text, and cuts the zero at its end.
	copy(b[:], text)
	return int64(binary.LittleEndian.Uint64(b[:]))
}
