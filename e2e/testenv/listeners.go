package testenv

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Listener is a socket that waits for others, of a process.
type Listener struct {
	Process Process
	Network string // tcp, udp or unix.
	Addr    string // host:port, or a path.
}

func (l Listener) String() string {
	return fmt.Sprintf("%s %s of process %d, %.120s", l.Network, l.Addr, l.Process.Pid, l.Process.Command)
}

// OnMachine reports whether only this machine reaches it.
func (l Listener) OnMachine() bool {
	if l.Network == "unix" {
		return true
	}
	at, err := netip.ParseAddrPort(l.Addr)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// Private reports whether only its own user reaches it: a socket that others may
// not write to, or in a folder that they may not enter.
func (l Listener) Private() bool {
	if l.Network != "unix" || !filepath.IsAbs(l.Addr) {
		return false
	}
	const others = 0o077
	if info, err := os.Stat(l.Addr); err != nil || info.Mode().Perm()&others == 0 {
		return true // One that is gone has no way in.
	}
	for dir := filepath.Dir(l.Addr); dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&others == 0 {
			return true
		}
	}
	return false
}

// Tree returns a process and all that it has started, and those have. Linux only.
func Tree(root int) []Process {
	tree := []Process{{Pid: root}}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", root)); err == nil {
		tree[0].Command = strings.ReplaceAll(string(b), "\x00", " ")
	}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, Children(tree[i].Pid)...)
	}
	return tree
}

// Listeners returns all sockets on which a process, or one that it has started,
// waits for others. Linux only.
func Listeners(root int) ([]Listener, error) {
	var out []Listener
	for _, p := range Tree(root) {
		own, err := socketsOf(p.Pid)
		if err != nil {
			continue // It has ended.
		}
		for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
			found, err := inetListeners(p.Pid, table, own)
			if err != nil {
				return nil, err
			}
			for _, addr := range found {
				out = append(out, Listener{p, strings.TrimSuffix(table, "6"), addr})
			}
		}
		found, err := unixListeners(p.Pid, own)
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			out = append(out, Listener{p, "unix", path})
		}
	}
	return out, nil
}

// socketsOf returns the inodes of a process' sockets.
func socketsOf(pid int) (map[string]bool, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	inodes := map[string]bool{}
	for _, f := range files {
		target, _ := os.Readlink(filepath.Join(dir, f.Name())) // One that is closed meanwhile is none.
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes, nil
}

// rows returns the fields of each line of a table of the kernel, without its head; none when there is no such table.
func rows(pid int, table string) ([][]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
	if err != nil {
		if _, gone := os.Stat(fmt.Sprintf("/proc/%d/net/tcp", pid)); gone != nil || strings.HasSuffix(table, "6") {
			return nil, nil //nolint:nilerr // The process has ended, or the machine has no IPv6.
		}
		return nil, err
	}
	var out [][]string
	for _, line := range bytes.Split(b, []byte("\n"))[1:] {
		out = append(out, strings.Fields(string(line)))
	}
	return out, nil
}

func inetListeners(pid int, table string, own map[string]bool) (out []string, err error) {
	// As the kernel numbers them: LISTEN, and of UDP what is connected to nobody.
	state := map[bool]string{true: "0A", false: "07"}[strings.HasPrefix(table, "tcp")]
	all, err := rows(pid, table)
	for _, f := range all {
		if len(f) < 10 || f[3] != state || !own[f[9]] {
			continue
		}
		addr, err := kernelAddr(f[1])
		if err != nil {
			return nil, err
		}
		out = append(out, addr)
	}
	return out, err
}

// kernelAddr reads 0100007F:1F90: words of four bytes in the machine's order, which
// is the little end first on all that we test on.
func kernelAddr(text string) (string, error) {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	if err != nil {
		return "", fmt.Errorf("cannot read the address %s: %w", text, err)
	}
	for word := range slices.Chunk(b, 4) {
		slices.Reverse(word)
	}
	ip, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return "", fmt.Errorf("cannot read the address %s", text)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)).String(), nil
}

func unixListeners(pid int, own map[string]bool) (out []string, err error) {
	const listens = "00010000"
	all, err := rows(pid, "unix")
	for _, f := range all {
		if len(f) >= 7 && f[3] == listens && own[f[6]] {
			path := "" // Without a name nobody finds it.
			if len(f) > 7 {
				path = f[7]
			}
			out = append(out, path)
		}
	}
	return out, err
}
