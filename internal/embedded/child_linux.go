package embedded

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// The most that the kernel takes.
const maxScore = 1000

// expend makes the kernel end a child before this process, when memory is short.
// Everybody may raise the score of their own processes; where that fails all the same, nothing is lost but the order.
func expend(pid, by int) {
	if by == 0 {
		return
	}
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return
	}
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(min(own+by, maxScore))), 0)
}
