package memory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, root, path, text string) {
	t.Helper()
	path = filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The limit of a group is found as each version of Linux's groups has it, seen from the host and from a container.
func TestOwnGroup(t *testing.T) {
	const (
		v1Mount = "36 25 0:31 / /sys/fs/cgroup/memory rw,nosuid shared:14 - cgroup cgroup rw,memory\n"
		v2Mount = "30 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	)
	for name, c := range map[string]struct {
		cgroup, mounts string
		files          map[string]string
		limit, kills   int64
	}{
		"version 1": {
			"9:name=systemd:/\n4:memory:/a:b/c\n0::/\n", v1Mount + v2Mount,
			map[string]string{
				"sys/fs/cgroup/memory/a:b/c/memory.limit_in_bytes": "4294967296\n", "sys/fs/cgroup/memory/a:b/c/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			},
			4 << 30, 3,
		},
		"version 1, the group around it is smaller": {
			"4:cpu,memory:/a/c\n", v1Mount,
			map[string]string{"sys/fs/cgroup/memory/a/c/memory.limit_in_bytes": "4294967296\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1073741824\n"},
			1 << 30, 0,
		},
		"version 2": {
			"0::/user.slice/x\n", v2Mount,
			map[string]string{"sys/fs/cgroup/user.slice/x/memory.max": "max\n", "sys/fs/cgroup/user.slice/memory.max": "2147483648\n", "sys/fs/cgroup/user.slice/x/memory.events": "low 0\noom 2\noom_kill 1\n"},
			2 << 30, 1,
		},
		"a container whose mount begins at its own group": {
			"4:memory:/docker/0123\n", strings.Replace(v1Mount, " / /sys", " /docker/0123 /sys", 1),
			map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n"},
			1 << 30, 0,
		},
		"without a limit": {
			"0::/\n", v2Mount, map[string]string{"sys/fs/cgroup/cgroup.procs": "1\n"}, 0, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "proc/self/cgroup", c.cgroup)
			write(t, root, "proc/self/mountinfo", c.mounts)
			for path, text := range c.files {
				write(t, root, path, text)
			}
			g, ok := ownGroup(root)
			if !ok {
				t.Fatal("no group was found")
			}
			if limit := g.limit(); limit != c.limit {
				t.Errorf("the limit is %d, want %d", limit, c.limit)
			}
			if kills, _ := g.kills(); kills != c.kills {
				t.Errorf("%d kills, want %d", kills, c.kills)
			}
		})
	}
	if _, ok := ownGroup(t.TempDir()); ok {
		t.Error("a system without groups has one")
	}
}

func TestAvailable(t *testing.T) {
	l := Available()
	if l.Bytes < 64<<20 || l.From == "" {
		t.Errorf("this machine may use %d bytes, by %q", l.Bytes, l.From)
	}
}

// Whatever there is, the parts fit into it, and a small machine has enough of each.
func TestShare(t *testing.T) {
	for _, total := range []int64{768 << 20, 1 << 30, 4 << 30, 12 << 30, 1 << 40} {
		s := Share(total)
		if sum := s.Pipeline + s.Own + s.Redis; sum > total*15/16 {
			t.Errorf("of %s the parts take %s", Text(total), Text(sum))
		}
		// What lives, a quarter more than what is counted, and the program itself.
		if live := State(s.Pipeline)*5/4 + 80<<20; live > s.Pipeline {
			t.Errorf("of %s the pipeline has %s, and needs %s", Text(total), Text(s.Pipeline), Text(live))
		}
	}
}

func TestCheckAddresses(t *testing.T) {
	if err := checkAddresses(1 << 63); err != nil {
		t.Error(err)
	}
	err := checkAddresses(1_200_000 << 10)
	if err == nil || !strings.Contains(err.Error(), "ulimit -v unlimited") || strings.Contains(err.Error(), "\n") {
		t.Errorf("1.2 GB: %v", err)
	}
}
