package profile_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pulseboard/internal/profile"
)

// get asks over a socket.
func get(t *testing.T, socket, path string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	res, err := client.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// Profiles are served on a socket of this user's, in a folder of this user's, until Close.
func TestProfilesAreThisUsers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	s, err := profile.Open(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, fmt.Sprint("test-", os.Getpid()))
	if mode(t, dir) != 0o700 || mode(t, socket) != 0o600 {
		t.Errorf("the folder is %v, the socket %v", mode(t, dir), mode(t, socket))
	}
	for path, want := range map[string]string{
		"/debug/pprof/": "heap", "/debug/pprof/goroutine?debug=1": "TestProfilesAreThisUsers", "/debug/pprof/heap?debug=1": "heap profile",
		"/debug/pprof/profile?seconds=1": "", "/debug/pprof/trace?seconds=0.1": "go 1",
	} {
		if status, body := get(t, socket, path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.100q", path, status, body)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left behind")
	}
}

// Without a folder there is nothing.
func TestOffByDefault(t *testing.T) {
	s, err := profile.Open("", "test")
	if s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A folder that others may use is refused, and the error names it.
func TestFoldersOfOthers(t *testing.T) {
	dir := t.TempDir()
	for _, perm := range []os.FileMode{0o755, 0o710, 0o701, 0o770} {
		if err := os.Chmod(dir, perm); err != nil {
			t.Fatal(err)
		}
		_, err := profile.Open(dir, "test")
		if err == nil || !strings.Contains(err.Error(), "others than its user may use the folder "+dir) || !strings.Contains(err.Error(), "chmod 700") {
			t.Errorf("%v: %v", perm, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file: "is no folder", filepath.Join(dir, "a", "b"): "whose parent is there", filepath.Join(t.TempDir(), strings.Repeat("x", 120)): "whose path may have 100 bytes",
	} {
		if _, err := profile.Open(path, "test"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Sockets of killed processes go with the next start; those of others stay.
func TestKilledProcessesLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ended := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	leave := func(name string, alive bool) string {
		path := filepath.Join(dir, name)
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		ln.SetUnlinkOnClose(false)
		if alive {
			t.Cleanup(func() { _ = ln.Close() })
		} else {
			_ = ln.Close()
		}
		return path
	}
	pid := ended.Process.Pid
	killed := leave(fmt.Sprint("killed-", pid), false)
	kept := []string{
		leave(fmt.Sprint("elsewhere-", pid), true), // In another container.
		leave(fmt.Sprint("starts-", os.Getppid()), false),
		leave("other", false),
	}
	s, err := profile.Open(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // TestProfilesAreThisUsers looks at it.
	if _, err := os.Stat(killed); err == nil {
		t.Error("the socket of a killed process is left")
	}
	for _, path := range kept {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
