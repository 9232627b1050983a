package configsvc

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"pulseboard/internal/secret"
)

// everything is all that people can see of a store, by id.
func everything(t *testing.T, s *Store) (boards map[string]Dashboard, versions map[string]string) {
	t.Helper()
	c, err := s.Changes(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	boards, versions = make(map[string]Dashboard), make(map[string]string)
	ids := c.Deleted
	for _, d := range c.Dashboards {
		boards[d.ID] = d
		ids = append(ids, d.ID)
	}
	for _, id := range ids {
		list, err := s.Versions(t.Context(), id, 0, 10_000)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		versions[id] = string(text)
		for _, v := range list {
			if v.Action == actionDeleted {
				continue
			}
			d, err := s.GetVersion(t.Context(), id, v.Version)
			if err != nil || strings.ReplaceAll(d.Title, "\x00", "") != v.Title {
				t.Errorf("version %d of %s: %q, %v", v.Version, id, d.Title, err)
			}
		}
	}
	return boards, versions
}

// fill makes n dashboards with versions, some of them deleted, some of programs.
func fill(t *testing.T, s *Store, n int) {
	t.Helper()
	d := twoWidgets(t)
	for i := range n {
		d.ID, d.Title, d.Tags = uuid.NewString(), fmt.Sprintf("board %d \u0000 ☃", i), nil
		if i%7 == 3 {
			d.Tags = []string{OwnTags + "canary"}
		}
		if _, err := s.Create(t.Context(), d, "ann"); err != nil {
			t.Fatal(err)
		}
		for v := range i % 4 {
			d.Title = fmt.Sprintf("board %d, version %d", i, v+2)
			if _, err := s.Update(t.Context(), d, int64(v+1), "bob"); err != nil {
				t.Fatal(err)
			}
		}
		if i%5 == 4 {
			if err := s.Delete(t.Context(), d.ID, int64(i%4+1), "eve"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func backUp(t *testing.T, database, file string) {
	t.Helper()
	s, err := OpenToRead(t.Context(), at(t, database))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // It was only read.
	if _, err := s.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
}

// databases gives each test databases of both kinds.
func databases(t *testing.T) map[string]func(*testing.T) string {
	t.Helper()
	server, made := startPostgres(t), 0
	return map[string]func(*testing.T) string{
		"sqlite": func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "dashboards.db") },
		"postgres": func(t *testing.T) string {
			t.Helper()
			made++
			name := fmt.Sprintf("backup%d", made)
			server.createDatabase(t, name)
			return "postgres://postgres@/" + name + "?host=" + server.dir
		},
	}
}

func TestBackupAndRestore(t *testing.T) {
	kinds := databases(t)
	for from, source := range kinds {
		database := source(t)
		s := openAny(t, database)
		fill(t, s, 24)
		file := filepath.Join(t.TempDir(), "dashboards.backup")
		backUp(t, database, file)
		boards, versions := everything(t, s)
		for to, target := range kinds {
			t.Run(from+" to an empty "+to, func(t *testing.T) { testRestoreEmpty(t, file, target(t), boards, versions) })
		}
		t.Run("into a running "+from, func(t *testing.T) { testRestoreRunning(t, s, database, file, boards) })
	}
}

func testRestoreEmpty(t *testing.T, file, database string, boards map[string]Dashboard, versions map[string]string) {
	t.Helper()
	n, err := RestoreBackup(t.Context(), at(t, database), file)
	if err != nil {
		t.Fatal(err)
	}
	got, history := everything(t, openAny(t, database))
	own := 0
	for id, want := range boards {
		d, ok := got[id]
		if want.own() {
			own++
			if ok {
				t.Errorf("a program's dashboard %s was restored", id)
			}
			continue
		}
		// Somebody may have seen versions after the backup that this database does not know.
		if d.Version <= want.Version {
			t.Errorf("%s has version %d, it had %d", id, d.Version, want.Version)
		}
		want.Version = d.Version
		if !reflect.DeepEqual(d, want) {
			t.Errorf("%s is %+v, want %+v", id, d, want)
		}
		if !strings.HasSuffix(history[id], strings.TrimPrefix(versions[id], "[")) {
			t.Errorf("%s has the history %s, it was %s", id, history[id], versions[id])
		}
	}
	if len(got) != len(boards)-own || n.Unchanged != 0 || n.Deleted != 0 || n.Restored < len(got) {
		t.Errorf("%d dashboards, %+v; there were %d, %d of programs", len(got), n, len(boards), own)
	}
}

func testRestoreRunning(t *testing.T, s *Store, database, file string, boards map[string]Dashboard) {
	t.Helper()
	ctx := t.Context()
	var changed, deleted, same, program Dashboard
	for _, d := range boards {
		switch {
		case d.own():
			program = d
		case changed.ID == "":
			changed = d
		case deleted.ID == "":
			deleted = d
		default:
			same = d
		}
	}
	must := func(v int64, err error) int64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	edited := changed
	edited.Title = "edited since"
	held := must(s.Update(ctx, edited, changed.Version, "zoe"))
	must(0, s.Delete(ctx, deleted.ID, deleted.Version, "zoe"))
	since := twoWidgets(t)
	since.ID = uuid.NewString()
	must(s.Create(ctx, since, "zoe"))
	program.Title = "newer"
	must(s.Update(ctx, program, program.Version, ""))
	before := must(s.Revision(ctx))

	n, err := RestoreBackup(ctx, at(t, database), file)
	if err != nil {
		t.Fatal(err)
	}
	if n.Restored != 2 || n.Deleted != 1 {
		t.Errorf("%+v, want 2 restored and 1 deleted", n)
	}
	got, err := s.Get(ctx, changed.ID)
	if err != nil || got.Title != changed.Title || got.Version <= held {
		t.Errorf("%q in version %d, %v; want %q beyond %d", got.Title, got.Version, err, changed.Title, held)
	}
	_, err = s.Update(ctx, edited, held, "zoe")
	wantConflict(t, err, got.Version)
	if old, err := s.GetVersion(ctx, changed.ID, held); err != nil || old.Title != edited.Title {
		t.Errorf("the version from before the restore: %q, %v", old.Title, err)
	}
	if got, err := s.Get(ctx, deleted.ID); err != nil || got.Version != deleted.Version+2 {
		t.Errorf("the deleted one: version %d, %v", got.Version, err)
	}
	if got, err := s.Get(ctx, same.ID); err != nil || !reflect.DeepEqual(got, same) {
		t.Errorf("one that nobody changed: %+v, %v", got, err)
	}
	if _, err := s.Get(ctx, since.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("one made since: %v", err)
	}
	if got, err := s.Get(ctx, program.ID); err != nil || got.Title != "newer" {
		t.Errorf("a program's: %+v, %v", got, err)
	}
	c, err := s.Changes(ctx, before)
	if err != nil || len(c.Dashboards) != 2 || len(c.Deleted) != 1 || c.Revision <= before {
		t.Errorf("what is told to publish: %+v, %v", c, err)
	}
	if n, err := RestoreBackup(ctx, at(t, database), file); err != nil || n.Restored+n.Deleted+n.Versions != 0 {
		t.Errorf("once more: %+v, %v", n, err)
	}
}

func TestBackupWhileEditorsEditIsOneMoment(t *testing.T) {
	database := filepath.Join(t.TempDir(), "dashboards.db")
	s := openAny(t, database)
	ctx, stop := context.WithCancel(t.Context())
	var editors sync.WaitGroup
	defer editors.Wait()
	defer stop()
	for range 3 {
		d := twoWidgets(t)
		d.ID = uuid.NewString()
		if _, err := s.Create(t.Context(), d, ""); err != nil {
			t.Fatal(err)
		}
		editors.Go(func() {
			for v := int64(1); ctx.Err() == nil; v++ {
				d.Title = fmt.Sprintf("version %d", v+1)
				if _, err := s.Update(ctx, d, v, ""); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 10 {
		file := filepath.Join(t.TempDir(), "dashboards.backup")
		backUp(t, database, file)
		r, err := openBackup(file)
		if err != nil {
			t.Fatal(err)
		}
		versions, total := make(map[string]int64), int64(1) // The revision of an empty database is 1.
		for {
			l, err := r.next()
			if errors.Is(err, errBackupEnd) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case l.Dashboard != nil:
				versions[l.Dashboard.ID] = l.Dashboard.Version
				total += l.Dashboard.Version
			case l.Version != nil && l.Version.Version > versions[l.Version.ID]:
				t.Errorf("version %d of a dashboard in version %d", l.Version.Version, versions[l.Version.ID])
			}
		}
		_ = r.file.Close()
		if total != r.head.Revision {
			t.Errorf("%d changes in a backup of revision %d", total, r.head.Revision)
		}
	}
}

func TestBadBackups(t *testing.T) {
	dir := t.TempDir()
	database := filepath.Join(dir, "dashboards.db")
	s := openAny(t, database)
	fill(t, s, 6)
	good := filepath.Join(dir, "good.backup")
	backUp(t, database, good)
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	lines := unzip(t, whole)
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"not a backup":          {[]byte("SQLite format 3"), "it is no backup"},
		"empty":                 {nil, "ends too early"},
		"gzip of others":        {zip(t, "hello\n"), "is not what pulseboard backup writes"},
		"JSON of others":        {zip(t, "{}\n"), "it is no backup"},
		"cut":                   {whole[:len(whole)/2], "ends too early"},
		"without its end":       {zip(t, strings.Join(lines[:len(lines)-1], "")), "ends too early"},
		"a line less":           {zip(t, strings.Join(append(append([]string{}, lines[:1]...), lines[2:]...), "")), "checksum"},
		"a title changed":       {zip(t, strings.Replace(strings.Join(lines, ""), "board 1", "board 9", 1)), "checksum"},
		"something after":       {zip(t, strings.Join(lines, "")+"x"), "follows its end"},
		"of a later Pulseboard": {zip(t, `{"pulseboard_backup":2,"made_at":"2027-01-01T00:00:00Z"}`+"\n"), "later Pulseboard (format 2"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bad.backup")
			if err := os.WriteFile(file, test.file, 0o600); err != nil {
				t.Fatal(err)
			}
			before, err := s.Revision(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, err = RestoreBackup(t.Context(), at(t, database), file)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("error %v, want one with %q and the file", err, test.want)
			}
			if after, err := s.Revision(t.Context()); err != nil || after != before {
				t.Errorf("revision %d, %v; it was %d", after, err, before)
			}
		})
	}
	for range 200 {
		b := bytes.Clone(whole)
		at := rand.IntN(len(b))
		b[at] ^= 1 << rand.IntN(8)
		file := filepath.Join(dir, "flipped.backup")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		// Some bits say nothing about what is in it: those of gzip's head, and those that fill its last byte.
		if err := VerifyBackup(file); err == nil && !slices.Equal(unzip(t, b), lines) {
			t.Errorf("byte %d of %d was flipped unnoticed", at, len(b))
		}
	}
}

func unzip(t *testing.T, b []byte) []string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	return lines[:len(lines)-1] // After the last is nothing.
}

func zip(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// commandEnv makes the test program one that backs up or restores.
const commandEnv = "PULSEBOARD_TEST_COMMAND"

// TestKilledCommand is the program that the tests below kill.
func TestKilledCommand(t *testing.T) {
	parts := strings.Split(os.Getenv(commandEnv), "|")
	fmt.Println("begins")
	switch parts[0] {
	case "backup":
		backUp(t, parts[1], parts[2])
	case "restore":
		if _, err := RestoreBackup(t.Context(), at(t, parts[1]), parts[2]); err != nil {
			t.Fatal(err)
		}
	default:
		t.Skip("only a process that other tests start")
	}
}

// killed runs a command and kills it with -9 some time after it began, 0 = never.
// It returns how long it ran.
func killed(t *testing.T, after time.Duration, command ...string) time.Duration {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledCommand$", "-test.count=1")
	cmd.Env = append(os.Environ(), commandEnv+"="+strings.Join(command, "|"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("begins\n"))); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if after > 0 {
		time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Fatal(err)
	}
	ran := time.Since(began)
	if err := cmd.Wait(); err != nil && after == 0 {
		t.Fatal(err)
	}
	return ran
}

func TestKilledRestoreIsAllOrNothing(t *testing.T) {
	for kind, target := range databases(t) {
		t.Run(kind, func(t *testing.T) {
			database := target(t)
			s := openAny(t, database)
			fill(t, s, 20)
			file := filepath.Join(t.TempDir(), "dashboards.backup")
			backUp(t, database, file)
			boards, _ := everything(t, s)
			editAll(t, s, boards)
			whole := killed(t, 0, "restore", database, file)
			editAll(t, s, boards)
			done := 0
			for n := range 16 {
				before, _ := everything(t, s)
				killed(t, time.Duration(rand.Int64N(int64(whole)))+1, "restore", database, file)
				after, _ := everything(t, s)
				switch restored, people := compareRestored(t, boards, before, after); restored {
				case 0:
				case people:
					done++
					editAll(t, s, boards)
				default:
					t.Fatalf("kill %d: %d of %d dashboards are restored", n, restored, people)
				}
				if kind == "sqlite" {
					if err := checkSQLite(t.Context(), database, false); err != nil {
						t.Fatalf("kill %d: %v", n, err)
					}
				}
			}
			t.Logf("%d of 16 were done before the kill", done)
		})
	}
}

// editAll makes people's dashboards other than they were.
func editAll(t *testing.T, s *Store, boards map[string]Dashboard) {
	t.Helper()
	for _, d := range boards {
		if d.own() {
			continue
		}
		current, err := s.Get(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		current.Title = "edited since"
		if _, err := s.Update(t.Context(), current, current.Version, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// compareRestored counts people's dashboards, and those that are as in the backup.
func compareRestored(t *testing.T, boards, before, after map[string]Dashboard) (restored, people int) {
	t.Helper()
	for id, d := range after {
		if d.own() {
			continue
		}
		people++
		if d.Title == boards[id].Title && d.Version > before[id].Version {
			restored++
		} else if !reflect.DeepEqual(d, before[id]) {
			t.Errorf("%s is neither as before nor as in the backup", id)
		}
	}
	return restored, people
}

func TestKilledBackupLeavesNoHalfFile(t *testing.T) {
	dir := t.TempDir()
	database, file := filepath.Join(dir, "dashboards.db"), filepath.Join(dir, "dashboards.backup")
	fill(t, openAny(t, database), 60)
	whole := killed(t, 0, "backup", database, file)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for n := range 25 {
		killed(t, time.Duration(rand.Int64N(int64(whole)))+1, "backup", database, file)
		if _, err := os.Stat(file); err == nil {
			if err := VerifyBackup(file); err != nil {
				t.Errorf("kill %d: %v", n, err)
			}
		}
	}
	killed(t, 0, "backup", database, file)
	if _, err := os.Stat(file + ".part"); err == nil {
		t.Error("what a killed one left is still there")
	}
}

func TestAcceptLoss(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dashboards.db")
	killedEditor(t, path, 20)
	file := filepath.Join(t.TempDir(), "dashboards.backup")
	backUp(t, path, file)
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"-wal", wal[:len(wal)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = OpenStore(t.Context(), at(t, path))
	fault, ok := errors.AsType[*LostError](err)
	if !ok {
		t.Fatalf("error %v", err)
	}
	n, lost, err := AcceptLoss(t.Context(), at(t, path))
	if err != nil || lost != fault.Committed-fault.Has || n.Restored == 0 {
		t.Errorf("%+v, %d lost, %v; want %d", n, lost, err, fault.Committed-fault.Has)
	}
	s := openTestSQLite(t, path)
	boards, _ := everything(t, s)
	for _, d := range boards {
		if d.Version <= 1+lost {
			t.Errorf("version %d could be one that was lost", d.Version)
		}
	}
	if _, _, err := AcceptLoss(t.Context(), at(t, path)); !errors.Is(err, errNothingLost) {
		t.Errorf("once more: %v", err)
	}
	if n, err := RestoreBackup(t.Context(), at(t, path), file); err != nil || n.Restored == 0 {
		t.Errorf("the backup after it: %+v, %v", n, err)
	}
}

// at is the database that a flag names.
func at(t *testing.T, text string) Database {
	t.Helper()
	d, err := ParseDatabase(text, secret.Text{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func openAny(t *testing.T, database string) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), at(t, database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
