package dashcode

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pulseboard/configsvc"
)

func link(t *testing.T, to, from string) {
	t.Helper()
	if err := os.Symlink(to, from); err != nil {
		t.Fatal(err)
	}
}

// What a folder holds is read whichever way it is there: by a link, in capitals,
// by a second way.
func TestEveryFileOfAFolderIsRead(t *testing.T) {
	shared := folder(t, "team/b.yaml", "title: B\n", "c.yaml", "title: C\n")
	dir := folder(t, "a.YAML", "title: A\n", "d.Json", `{"title":"D"}`, "e/f.YML", "title: F\n", "readme.md", "x")
	link(t, filepath.Join(shared, "team"), filepath.Join(dir, "team"))
	link(t, filepath.Join(shared, "c.yaml"), filepath.Join(dir, "c.yaml"))
	link(t, dir, filepath.Join(dir, "e", "round"))
	for name, paths := range map[string][]string{
		"the folder": {dir}, "the folder twice": {dir, filepath.Join(dir, "e"), dir}, "by a link": {filepath.Join(dir, "e", "round")},
	} {
		s, err := Load(paths, configsvc.Rules{SliceMs: 1})
		if err != nil || s.Files != 5 || len(s.Items) != 5 || s.Faults != nil {
			t.Errorf("%s: %d files, %d dashboards, %v %v", name, s.Files, len(s.Items), s.Faults, err)
		}
	}
}

// What cannot be read is an error, since it may hold dashboards.
func TestWhatCannotBeReadIsAnError(t *testing.T) {
	for want, spoil := range map[string]func(t *testing.T, dir string){
		"x.yaml: it is a link that leads nowhere": func(t *testing.T, dir string) {
			t.Helper()
			link(t, filepath.Join(dir, "none"), filepath.Join(dir, "x.yaml"))
		},
		"team: it is a link that leads nowhere": func(t *testing.T, dir string) {
			t.Helper()
			link(t, filepath.Join(dir, "none"), filepath.Join(dir, "team"))
		},
		"loop: ": func(t *testing.T, dir string) {
			t.Helper()
			link(t, "loop", filepath.Join(dir, "loop"))
		},
		"x.yaml: it is no regular file": func(t *testing.T, dir string) {
			t.Helper()
			if err := syscall.Mkfifo(filepath.Join(dir, "x.yaml"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"secret: permission denied": func(t *testing.T, dir string) {
			t.Helper()
			forbidden(t, filepath.Join(dir, "secret"), true)
		},
		"x.yaml: permission denied": func(t *testing.T, dir string) {
			t.Helper()
			forbidden(t, filepath.Join(dir, "x.yaml"), false)
		},
	} {
		t.Run(want, func(t *testing.T) {
			dir := folder(t, "a.yaml", "title: A\n")
			spoil(t, dir)
			s, err := Load([]string{dir}, configsvc.Rules{SliceMs: 1})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d dashboards, error %v, want %s", len(s.Items), err, want)
			}
		})
	}
}

func forbidden(t *testing.T, path string, isFolder bool) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root may read everything: run as another user to test what happens without permission")
	}
	if isFolder {
		if err := os.Mkdir(path, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
		return
	}
	if err := os.WriteFile(path, nil, 0); err != nil {
		t.Fatal(err)
	}
}
