// Package proc reads what processes use from /proc, and sums up measured times.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage is what a process has used.
type Usage struct {
	CPU float64 // Seconds, user and system, since its begin.
	RSS int64   // Bytes at this moment. What the kernel keeps for sockets is not in it.
}

// Times in /proc are in hundredths of a second on every Linux.
const ticksPerSecond = 100

// Look reads the usage of a process.
func Look(pid int) (Usage, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return Usage{}, fmt.Errorf("cannot read what process %d uses: it has ended, or this is no Linux: %w", pid, err)
	}
	return parse(string(b))
}

// Family is the CPU of a process and of the processes that it has started, those
// that have ended included.
func Family(pid int) float64 {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // The pattern is right.
	sum := 0.0
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // It has ended.
		}
		stat := string(b)
		own, _ := strconv.Atoi(strings.Split(path, "/")[2])
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 || own != pid && fields[1] != strconv.Itoa(pid) {
			continue
		}
		if u, err := parse(stat); err == nil {
			sum += u.CPU
		}
		const userOfEnded, systemOfEnded = 13, 14
		if own == pid && len(fields) > systemOfEnded {
			user, _ := strconv.ParseFloat(fields[userOfEnded], 64)
			system, _ := strconv.ParseFloat(fields[systemOfEnded], 64)
			sum += (user + system) / ticksPerSecond
		}
	}
	return sum
}

// parse reads /proc/PID/stat. The name of the program, in parentheses, may hold anything.
func parse(stat string) (Usage, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const state, user, system, pages = 0, 11, 12, 21
	if len(fields) <= pages {
		return Usage{}, fmt.Errorf("cannot read what a process uses from %q", stat)
	}
	if fields[state] == "Z" {
		return Usage{}, errors.New("cannot read what a process uses: it has ended")
	}
	var n [3]int64
	for i, at := range []int{user, system, pages} {
		v, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("cannot read what a process uses from %q: %w", stat, err)
		}
		n[i] = v
	}
	return Usage{CPU: float64(n[0]+n[1]) / ticksPerSecond, RSS: n[2] * int64(os.Getpagesize())}, nil
}

// Machine is how long all processors together were busy, and how long another
// virtual machine had them, in seconds.
type Machine struct{ Busy, Stolen float64 }

// LookAtMachine reads that; elsewhere than on Linux it is zero.
func LookAtMachine() (m Machine) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m
	}
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	for i, f := range strings.Fields(string(line)) {
		v, _ := strconv.ParseFloat(f, 64) // The first is no number.
		switch i {
		case 1, 2, 3, 6, 7: // user, nice, system, irq, softirq
			m.Busy += v / ticksPerSecond
		case 8:
			m.Stolen = v / ticksPerSecond
		}
	}
	return m
}
