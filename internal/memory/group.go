package memory

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// group is a memory group of Linux, of either version.
type group struct {
	dir string // Its folder,
	top string // and that of the outermost one that can be seen.
	v2  bool
}

// ownGroup finds the group of this process. root is where proc and sys are.
func ownGroup(root string) (g group, ok bool) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return g, false
	}
	var v1, v2 string
	for line := range strings.Lines(string(text)) {
		// hierarchy:controllers:path; the path may hold colons.
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		switch {
		case f[0] == "0" && f[1] == "":
			v2 = f[2]
		case slices.Contains(strings.Split(f[1], ","), "memory"):
			v1 = f[2]
		}
	}
	if g, ok = mounted(root, "cgroup", v1); v1 != "" && ok {
		return g, true
	}
	if g, ok = mounted(root, "cgroup2", v2); v2 != "" && ok {
		g.v2 = true
		return g, true
	}
	return g, false
}

// mounted finds the folder of a group among the mounts of a kind.
func mounted(root, kind, path string) (g group, ok bool) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return g, false
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		// id parent device root point options… - kind source options
		before, after, found := strings.Cut(lines.Text(), " - ")
		b, a := strings.Fields(before), strings.Fields(after)
		if !found || len(b) < 5 || len(a) < 3 || a[0] != kind || kind == "cgroup" && !slices.Contains(strings.Split(a[2], ","), "memory") {
			continue
		}
		top := filepath.Join(root, unescape(b[4]))
		// A container sees its own group as the root of the mount.
		below, inside := strings.CutPrefix(path, strings.TrimSuffix(unescape(b[3]), "/"))
		if !inside || below != "" && below[0] != '/' {
			below = ""
		}
		dir := filepath.Join(top, below)
		if _, err := os.Stat(dir); err != nil {
			dir = top
		}
		return group{dir: dir, top: top}, true
	}
	return g, false
}

// unescape reads the octal escapes of a path in mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// unlimited is more than any machine has: version 1 writes the largest number of pages for "no limit".
const unlimited = int64(1) << 60

// limit is the smallest of the group and those around it, 0 when there is none.
func (g group) limit() (limit int64) {
	name := "memory.limit_in_bytes"
	if g.v2 {
		name = "memory.max"
	}
	for dir := g.dir; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil && n > 0 && n < unlimited {
			if limit == 0 || n < limit {
				limit = n
			}
		}
		if dir == g.top || len(dir) <= len(g.top) {
			return limit
		}
	}
}

// kills reads how many processes of the group the kernel ended.
func (g group) kills() (n int64, ok bool) {
	name := "memory.oom_control"
	if g.v2 {
		name = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if v, found := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); found {
			n, err := strconv.ParseInt(v, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
