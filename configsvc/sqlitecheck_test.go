package configsvc

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// editorEnv makes the test program an editor of the database that it names.
const editorEnv = "PULSEBOARD_TEST_EDITOR"

// TestKilledEditor is the program that the tests below kill: it makes one
// dashboard after the other and prints each revision that was acknowledged.
func TestKilledEditor(t *testing.T) {
	path := os.Getenv(editorEnv)
	if path == "" {
		t.Skip("only a process that other tests start")
	}
	s, err := OpenStore(t.Context(), SQLite(path))
	if err != nil {
		fmt.Println("fault:", err)
		return
	}
	d := twoWidgets(t)
	for {
		d.ID = uuid.NewString()
		if _, err := s.Create(t.Context(), d, ""); err != nil {
			fmt.Println("fault:", err)
			return
		}
		n, err := s.Revision(t.Context())
		fmt.Println("revision:", n, err)
	}
}

// killedEditor makes dashboards until at least so many were acknowledged, is
// killed with -9, and returns the last revision that it knew of.
func killedEditor(t *testing.T, path string, least int) (revision int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledEditor$", "-test.count=1")
	cmd.Env = append(os.Environ(), editorEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	read := func() bool {
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "fault: "); ok {
				t.Error(text)
				return false
			}
			if text, ok := strings.CutPrefix(lines.Text(), "revision: "); ok {
				number, _, _ := strings.Cut(text, " ")
				if revision, err = strconv.ParseInt(number, 10, 64); err != nil {
					t.Error(err)
				}
				return true
			}
		}
		return false
	}
	for range least {
		if !read() {
			t.Fatal("the editor ended by itself")
		}
	}
	// At any moment of the next edits.
	time.AfterFunc(time.Duration(rand.Int64N(int64(5*time.Millisecond))), func() { _ = cmd.Process.Kill() })
	for read() {
	}
	_ = cmd.Wait() // It was killed.
	return revision
}

func TestKilledWhileEditingLosesNothingAndAlarmsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dashboards.db")
	for n := range 25 {
		revision := killedEditor(t, path, 1+n%3)
		if t.Failed() {
			return
		}
		s, err := OpenStore(t.Context(), SQLite(path))
		if err != nil {
			t.Fatalf("kill %d: %v", n, err)
		}
		has, err := s.Revision(t.Context())
		if err != nil || has < revision {
			t.Errorf("kill %d: revision %d, %v; %d was acknowledged", n, has, err, revision)
		}
		if n%2 == 0 { // Else the next process finds the log.
			_ = s.Close()
		} else {
			t.Cleanup(func() { _ = s.Close() })
		}
	}
}

func TestCutOrFlippedLogIsTold(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dashboards.db")
	revision := killedEditor(t, path, 20)
	mark, err := newCommitMark(path).read()
	if err != nil || mark.revision < revision {
		t.Fatalf("the mark says %+v, %v; %d was acknowledged", mark, err, revision)
	}
	wal, err := os.ReadFile(path + "-wal")
	if err != nil || len(wal) < 10*4096 {
		t.Fatalf("a log of %d bytes, %v", len(wal), err)
	}
	flip := func(at int) []byte {
		b := slices.Clone(wal)
		b[at] ^= 1
		return b
	}
	for name, damaged := range map[string][]byte{
		"cut in half": wal[:len(wal)/2], "emptied": {}, "gone": nil, "cut near its end": wal[:len(wal)-len(wal)/5], // The end itself may be an edit that the kill cut short.
		"head flipped": flip(3), "middle flipped": flip(len(wal) / 2), "first record flipped": flip(40),
	} {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), "dashboards.db")
			for _, suffix := range []string{"", commitMarkSuffix} {
				copyFile(t, path+suffix, at+suffix)
			}
			if damaged != nil {
				if err := os.WriteFile(at+"-wal", damaged, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // The first refusal must not take the evidence away.
				_, err = OpenStore(t.Context(), SQLite(at))
				lost, ok := errors.AsType[*LostError](err)
				if !ok || lost.Committed != mark.revision || lost.Has >= lost.Committed {
					t.Fatalf("opened with the error %v, want one that tells of the loss up to %d", err, mark.revision)
				}
			}
			if b, err := os.ReadFile(at + "-wal"); damaged != nil && (err != nil || !slices.Equal(b, damaged)) {
				t.Errorf("the log was changed: %v", err)
			}
		})
	}
	if _, err := OpenStore(t.Context(), SQLite(path)); err != nil {
		t.Errorf("with the whole log: %v", err)
	}
}

func TestDamagedPagesAreTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dashboards.db")
	s := openTestSQLite(t, path)
	d := twoWidgets(t)
	for range 40 {
		d.ID = uuid.NewString()
		if _, err := s.Create(t.Context(), d, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for page := range len(whole) / 4096 {
		b := slices.Clone(whole)
		for i := range 2048 { // Not in a row: SQLite must not find them unused.
			b[page*4096+2*i] ^= 0x5a
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(t.Context(), SQLite(path))
		if _, ok := errors.AsType[*DamagedError](err); !ok {
			t.Errorf("page %d: opened with the error %v", page+1, err)
		}
		if err == nil {
			_ = s.Close()
		}
		if now, err := os.ReadFile(path); err != nil || !slices.Equal(now, b) {
			t.Errorf("page %d: the file was changed", page+1)
		}
	}
}

func TestCommitMarkSurvivesATornPlace(t *testing.T) {
	m := newCommitMark(filepath.Join(t.TempDir(), "a.db"))
	now := time.Now()
	for n := int64(1); n <= 9; n++ {
		if err := m.raise(n, now); err != nil {
			t.Fatal(err)
		}
		if c, err := m.read(); err != nil || c.revision != n {
			t.Fatalf("%+v, %v; want revision %d", c, err, n)
		}
	}
	if err := m.raise(3, now); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(m.path)
	if err != nil {
		t.Fatal(err)
	}
	for place := range markPlaces {
		torn := slices.Clone(b)
		copy(torn[place*markPlace:], "pulseboard: revision 99 was")
		if err := os.WriteFile(m.path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := m.read(); err != nil || c.revision < 8 || c.revision > 9 {
			t.Errorf("place %d torn: %+v, %v", place, c, err)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
