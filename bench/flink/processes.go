package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// account is what one process has used.
type account struct {
	name string
	pid  int
	cpu  float64 // Seconds.
	base float64 // CPU seconds when measuring began; 0 of one that came later.
	rss  int64   // Bytes.
	gone bool
	late bool // It began while measuring.
	heap heap // Of Java.
}

// accounts are those of this process and of all that it has started.
type accounts struct {
	servers *servers
	all     []*account // In the order of their begin.
}

const ownName = "the load and the watch"

// Times in /proc are in hundredths of a second on every Linux.
const ticksPerSecond = 100

// look reads what each process has used by now. A process that ends between two
// looks is missed by as much as it used since the first.
func (a *accounts) look() {
	seen := map[int]bool{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // The pattern is right.
	var pids []int
	for _, path := range stats {
		pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
		pids = append(pids, pid)
	}
	slices.Sort(pids) // Parents first.
	for _, pid := range pids {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			continue // It has ended.
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		parent, _ := strconv.Atoi(fields[1])
		one := a.of(pid, parent)
		if one == nil || fields[0] == "Z" {
			continue
		}
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		pages, _ := strconv.ParseInt(fields[21], 10, 64)
		one.cpu, one.rss = (user+system)/ticksPerSecond, pages*int64(os.Getpagesize())
		one.heap.look(pid)
		seen[pid] = true
	}
	for _, one := range a.all {
		one.gone = !seen[one.pid]
	}
}

// of returns the account of a process, nil when it is none of ours.
func (a *accounts) of(pid, parent int) *account {
	if one := a.find(pid); one != nil {
		return one
	}
	name := a.name(pid, parent)
	if name == "" {
		return nil
	}
	one := &account{name: name, pid: pid, late: true}
	a.all = append(a.all, one)
	return one
}

func (a *accounts) find(pid int) *account {
	for _, one := range a.all {
		if one.pid == pid && !one.gone {
			return one
		}
	}
	return nil
}

func (a *accounts) name(pid, parent int) string {
	if pid == os.Getpid() {
		return ownName
	}
	for _, s := range a.servers.all {
		if s.Pid() == pid {
			return s.name
		}
	}
	by := a.find(parent)
	if by == nil {
		return ""
	}
	b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	command := strings.ReplaceAll(string(b), "\x00", " ")
	switch {
	case strings.Contains(command, "--provision_endpoint"):
		return workerPrefix + by.name
	case by.name == ownName && strings.Contains(command, "redis-server"):
		return "redis-server"
	case by.name == localName && strings.Contains(command, "pulseboard.flink.OneMachine"):
		return javaName
	}
	return "" // One between fork and exec, or a helper that ends at once.
}

const (
	workerPrefix = "Go worker of "
	localName    = "pipeline"
	javaName     = "Java"         // With all of Flink.
	taskManager  = "TaskManager " // And its number.
)

// begin makes what was used so far the base.
func (a *accounts) begin() {
	a.look()
	a.all = slices.DeleteFunc(a.all, func(one *account) bool { return one.gone })
	for _, one := range a.all {
		one.base, one.late = one.cpu, false
		one.heap.begin()
	}
}

func (a *accounts) workers() (out []*account) {
	for _, one := range a.all {
		if strings.HasPrefix(one.name, workerPrefix) && !one.gone {
			out = append(out, one)
		}
	}
	return out
}

// names are those of all processes, each once.
func (a *accounts) names() (out []string) {
	for _, one := range a.all {
		if !slices.Contains(out, one.name) {
			out = append(out, one.name)
		}
	}
	return out
}

// machine is how long all processors together were busy, and how long another
// virtual machine had them, in seconds.
type machine struct{ busy, stolen float64 }

func lookAtMachine() (m machine) {
	b, _ := os.ReadFile("/proc/stat") // Linux has it.
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		v, _ := strconv.ParseFloat(f, 64)
		switch i {
		case 1, 2, 3, 6, 7: // user, nice, system, irq, softirq
			m.busy += v / ticksPerSecond
		case 8:
			m.stolen = v / ticksPerSecond
		}
	}
	return m
}
