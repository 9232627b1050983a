package configsvc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
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

func TestSQLiteStore(t *testing.T) {
	testStore(t, func(t *testing.T) *Store {
		t.Helper()
		return openTestSQLite(t, filepath.Join(t.TempDir(), "a ?#%41.db"))
	})
}

func openTestSQLite(t *testing.T, path string) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), SQLite(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// testStore is what a Store must do on every database; open returns an empty one.
func testStore(t *testing.T, open func(*testing.T) *Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *Store){
		"versions":     testVersions,
		"deleted":      testDeleted,
		"create first": testCreateFirst,
		"list":         testList,
		"concurrent":   testConcurrent,
		"revision":     testRevision,
		"changes":      testChanges,
		"history":      testHistory,
		"kept":         testKept,
		"kept bytes":   testKeptBytes,
		"room":         testRoom,
		"longest":      testLongestHistoryLoses,
		"expire":       testExpire,
		"own":          testOwnKeepNothing,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func wantConflict(t *testing.T, err error, current int64) {
	t.Helper()
	var c *ConflictError
	if !errors.As(err, &c) || c.Current != current {
		t.Errorf("error %v, want a conflict with version %d", err, current)
	}
}

func testVersions(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	d := twoWidgets(t)
	d.Title = "Größe \\ % _ <&> 🙂"
	if _, err := s.Get(ctx, d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if v, err := s.Create(ctx, d, "ann"); v != 1 || err != nil {
		t.Fatalf("version %d, %v", v, err)
	}
	if _, err := s.Create(ctx, d, "ann"); !errors.Is(err, ErrExists) {
		t.Errorf("error %v, want ErrExists", err)
	}
	got, err := s.Get(ctx, d.ID)
	d.Version = 1
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Fatalf("got %+v, %v; want %+v", got, err, d)
	}
	d.Title = "other"
	if v, err := s.Update(ctx, d, 1, "bob"); v != 2 || err != nil {
		t.Fatalf("version %d, %v", v, err)
	}
	_, err = s.Update(ctx, d, 1, "bob")
	wantConflict(t, err, 2)
	wantConflict(t, s.Delete(ctx, d.ID, 1, "eve"), 2)
	if got, err = s.Get(ctx, d.ID); err != nil || got.Title != "other" || got.Version != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	d.ID = idA
	if _, err = s.Update(ctx, d, 1, "bob"); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if err := s.Delete(ctx, idA, 1, "eve"); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

// A version names one document for ever, also when an id is used again.
func testDeleted(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	d := twoWidgets(t)
	if _, err := s.Create(ctx, d, "ann"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, d.ID, 1, "eve"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if _, err := s.Update(ctx, d, 2, "bob"); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if err := s.Delete(ctx, d.ID, 2, "eve"); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if c, err := s.Changes(ctx, 0); err != nil || len(c.Dashboards) != 0 || !slices.Equal(c.Deleted, []string{d.ID}) {
		t.Errorf("changes %+v, %v", c, err)
	}
	if l, err := s.List(ctx, ListQuery{Limit: 10}); err != nil || len(l) != 0 {
		t.Errorf("list %+v, %v", l, err)
	}
	v, err := s.Create(ctx, d, "ann")
	if v <= 2 || err != nil {
		t.Errorf("made again with version %d, %v: versions 1 and 2 were used", v, err)
	}
	_, err = s.Update(ctx, d, 1, "bob")
	wantConflict(t, err, v)
}

func testCreateFirst(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	d := twoWidgets(t)
	for _, want := range []bool{true, false} {
		if created, err := s.CreateFirst(ctx, d); created != want || err != nil {
			t.Errorf("created %v, %v; want %v", created, err, want)
		}
	}
	if err := s.Delete(ctx, d.ID, 1, "eve"); err != nil {
		t.Fatal(err)
	}
	if created, err := s.CreateFirst(ctx, d); created || err != nil {
		t.Errorf("created %v, %v after people deleted it", created, err)
	}
	if _, err := s.Get(ctx, d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

func testList(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	add := func(title string, tags ...string) {
		t.Helper()
		d := Dashboard{ID: uuid.NewString(), Title: title, Tags: append([]string{}, tags...), Variables: []Variable{}, Widgets: twoWidgets(t).Widgets}
		if _, err := s.Create(ctx, d, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	add("beta", "team-a", "eu")
	add("Alpha 100%", "team-b")
	add("alpha_2", "team-a")
	add("Zoë", "TEAM")
	add("Zoë")
	add("Draft of beta", "team-a", OwnTags+"draft")
	add("Canary", OwnTags+"canary")
	add("Ours", "pulseboard", "my-pulseboard:x")
	titles := func(q ListQuery) string {
		t.Helper()
		l, err := s.List(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range l {
			out = append(out, d.Title)
			if d.Widgets != 2 || d.Version != 1 || d.UpdatedAt.IsZero() || d.Tags == nil || d.Variables == nil {
				t.Errorf("summary %+v", d)
			}
		}
		return strings.Join(out, ",")
	}
	for _, c := range []struct {
		q    ListQuery
		want string
	}{
		{ListQuery{}, "Alpha 100%,alpha_2,beta,Ours,Zoë,Zoë"},
		{ListQuery{Own: true}, "Alpha 100%,alpha_2,beta,Canary,Draft of beta,Ours,Zoë,Zoë"},
		{ListQuery{Own: true, Tags: []string{"team-a"}}, "alpha_2,beta,Draft of beta"},
		{ListQuery{Text: "canary"}, ""},
		{ListQuery{Text: "ALPHA"}, "Alpha 100%,alpha_2"},
		{ListQuery{Text: "%"}, "Alpha 100%"},
		{ListQuery{Text: "_"}, "alpha_2"},
		{ListQuery{Text: `\`}, ""},
		{ListQuery{Text: "team"}, "Alpha 100%,alpha_2,beta,Zoë"},
		{ListQuery{Text: "ZOË"}, "Zoë,Zoë"},
		{ListQuery{Tags: []string{"team-a"}}, "alpha_2,beta"},
		{ListQuery{Tags: []string{"team-a", "eu"}}, "beta"},
		{ListQuery{Tags: []string{"team"}}, ""},
		{ListQuery{Tags: []string{"team-_"}}, ""},
		{ListQuery{Text: "al", Tags: []string{"team-a"}}, "alpha_2"},
		{ListQuery{After: Place{TitleKey: "beta", ID: "ffffffff"}}, "Ours,Zoë,Zoë"},
	} {
		c.q.Limit = 100
		if got := titles(c.q); got != c.want {
			t.Errorf("%+v: %s, want %s", c.q, got, c.want)
		}
	}
	// Page by page, each once, also those of equal titles.
	seen := map[string]bool{}
	for after := (Place{}); ; {
		l, err := s.List(ctx, ListQuery{Limit: 1, After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(l) == 0 {
			break
		}
		if seen[l[0].ID] {
			t.Fatalf("%s is on two pages", l[0].Title)
		}
		seen[l[0].ID] = true
		after = Place{titleKey(l[0].Title), l[0].ID}
	}
	if len(seen) != 6 {
		t.Errorf("%d dashboards on all pages, want 6", len(seen))
	}
}

// Editors who read, change and write: each accepted write must be in the end.
func testConcurrent(t *testing.T, s *Store) {
	t.Helper()
	const editors, edits = 6, 15
	ctx := t.Context()
	d := twoWidgets(t)
	d.Tags = []string{}
	if _, err := s.Create(ctx, d, "ann"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for e := range editors {
		wg.Go(func() {
			for n := 0; n < edits; {
				d, err := s.Get(ctx, idC)
				if err != nil {
					t.Error(err)
					return
				}
				d.Tags = append(d.Tags, fmt.Sprintf("%d-%d", e, n))
				_, err = s.Update(ctx, d, d.Version, "bob")
				var conflict *ConflictError
				switch {
				case err == nil:
					n++
				case !errors.As(err, &conflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	got, err := s.Get(ctx, idC)
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	for _, tag := range got.Tags {
		set[tag] = true
	}
	if len(set) != editors*edits || got.Version != 1+editors*edits {
		t.Errorf("%d edits in version %d, want %d in %d", len(set), got.Version, editors*edits, 1+editors*edits)
	}
}

func testRevision(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	last := int64(-1)
	check := func(changed bool, what string) {
		t.Helper()
		n, err := s.Revision(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if (n != last) != changed {
			t.Errorf("revision %d after %d: %s", n, last, what)
		}
		last = n
	}
	d := twoWidgets(t)
	check(true, "first")
	_, _ = s.Create(ctx, d, "ann")
	check(true, "created")
	_, _ = s.Create(ctx, d, "ann")
	check(false, "refused to create")
	_, _ = s.Update(ctx, d, 1, "bob")
	check(true, "updated")
	_, _ = s.Update(ctx, d, 1, "bob")
	check(false, "refused to update")
	_ = s.Delete(ctx, d.ID, 2, "eve")
	check(true, "deleted")
}

// What has changed since a revision is told, deletions too, and nothing is left out.
func testChanges(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	a, b := twoWidgets(t), twoWidgets(t)
	b.ID = idB
	changes := func(after int64) (c Changes, ids string) {
		t.Helper()
		c, err := s.Changes(ctx, after)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range c.Dashboards {
			ids += fmt.Sprintf("%s@%d ", d.ID[:4], d.Version)
		}
		return c, ids + strings.Join(c.Deleted, " ")
	}
	must := func(_ int64, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	first, ids := changes(0)
	if ids != "" {
		t.Errorf("an empty store has changes %s", ids)
	}
	must(s.Create(ctx, a, ""))
	must(s.Create(ctx, b, ""))
	both, ids := changes(first.Revision)
	if want := fmt.Sprintf("%s@1 %s@1 ", idB[:4], a.ID[:4]); ids != want && ids != fmt.Sprintf("%s@1 %s@1 ", a.ID[:4], idB[:4]) {
		t.Errorf("changes %s, want %s", ids, want)
	}
	must(s.Update(ctx, a, 1, ""))
	updated, ids := changes(both.Revision)
	if want := a.ID[:4] + "@2 "; ids != want {
		t.Errorf("changes %s, want %s", ids, want)
	}
	must(0, s.Delete(ctx, idB, 1, ""))
	deleted, ids := changes(updated.Revision)
	if ids != idB {
		t.Errorf("changes %s, want the deletion of %s", ids, idB)
	}
	must(s.Restore(ctx, b, 2, 1, ""))
	if _, ids = changes(deleted.Revision); ids != idB[:4]+"@3 " {
		t.Errorf("changes %s, want the restored one", ids)
	}
	if _, ids = changes(1 << 40); ids != "" {
		t.Errorf("changes of the future: %s", ids)
	}
}

func testHistory(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	d := twoWidgets(t)
	if _, err := s.Versions(ctx, d.ID, 0, 10); !errors.Is(err, ErrNotFound) {
		t.Errorf("versions of none: %v", err)
	}
	titles := []string{"one", "two", "three"}
	for i, title := range titles {
		d.Title = title
		var err error
		if i == 0 {
			_, err = s.Create(ctx, d, "ann")
		} else {
			_, err = s.Update(ctx, d, int64(i), "bob")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Update(ctx, d, 1, "late"); err == nil {
		t.Error("a stale change was accepted")
	}
	if err := s.Delete(ctx, d.ID, 3, "eve"); err != nil {
		t.Fatal(err)
	}
	for v, title := range titles {
		got, err := s.GetVersion(ctx, d.ID, int64(v+1))
		d.Title, d.Version = title, int64(v+1)
		if err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("version %d: %+v, %v; want %+v", v+1, got, err, d)
		}
	}
	for _, v := range []int64{0, 4, 5} {
		if _, err := s.GetVersion(ctx, d.ID, v); !errors.Is(err, ErrNotFound) {
			t.Errorf("version %d: %v, want ErrNotFound", v, err)
		}
	}
	_, err := s.Restore(ctx, d, 3, 2, "fay")
	wantConflict(t, err, 4)
	d.Title = "two"
	if v, err := s.Restore(ctx, d, 4, 2, "fay"); v != 5 || err != nil {
		t.Fatalf("restored as version %d, %v", v, err)
	}
	if got, err := s.Get(ctx, d.ID); err != nil || got.Title != "two" || got.Version != 5 {
		t.Errorf("restored %+v, %v", got, err)
	}
	text := func(list []VersionEntry, err error) (out string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			out += fmt.Sprintf("%d %s %s %q %d; ", v.Version, v.Action, v.By, v.Title, v.Widgets)
			if time.Since(v.At) > time.Hour || (v.RestoredFrom != nil) != (v.Action == actionRestored) || v.RestoredFrom != nil && *v.RestoredFrom != 2 {
				t.Errorf("entry %+v", v)
			}
		}
		return out
	}
	const all = `5 restored fay "two" 2; 4 deleted eve "three" 2; 3 changed bob "three" 2; 2 changed bob "two" 2; 1 created ann "one" 2; `
	if got := text(s.Versions(ctx, d.ID, 0, 10)); got != all {
		t.Errorf("versions\n%s, want\n%s", got, all)
	}
	if got, want := text(s.Versions(ctx, d.ID, 4, 2)), `3 changed bob "three" 2; 2 changed bob "two" 2; `; got != want {
		t.Errorf("versions below 4\n%s, want\n%s", got, want)
	}
	if got := text(s.Versions(ctx, d.ID, 1, 2)); got != "" {
		t.Errorf("versions below 1: %s", got)
	}
}

// The oldest versions are forgotten, and only those.
func testKept(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	d := twoWidgets(t)
	d.Widgets = []Widget{}
	bounds(t, s).Versions = 20
	version, err := s.Create(ctx, d, "")
	for err == nil && version < 23 {
		version, err = s.Update(ctx, d, version, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Versions(ctx, d.ID, 0, 100)
	if err != nil || len(l) != 20 || l[0].Version != version || l[len(l)-1].Version != 4 {
		t.Errorf("%d versions, %v; want the last 20", len(l), err)
	}
}

// A database from before there were migrations goes on, with what it has as the history's beginning.
func TestOlderDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.db")
	old, err := os.ReadFile("testdata/schema1.sqlite.sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", sqliteName(path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), string(old)); err != nil {
		t.Fatal(err)
	}
	d, gone := twoWidgets(t), twoWidgets(t)
	gone.ID = idB
	for _, x := range []struct {
		d       Dashboard
		version int
		deleted any
	}{{d, 7, nil}, {gone, 3, 5}} {
		r, err := newRow(x.d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), `INSERT INTO dashboards VALUES ($1, $2, $3, $4, $5, $6, 1, 2, $7)`, r.id, x.version, r.titleKey, r.search, r.tags, r.document, x.deleted); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // The second time there is nothing to do.
		s := openTestSQLite(t, path)
		got, err := s.Get(t.Context(), d.ID)
		d.Version = 7
		if err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("got %+v, %v", got, err)
		}
		for id, want := range map[string]string{d.ID: actionChanged, idB: actionDeleted} {
			if l, err := s.Versions(t.Context(), id, 0, 9); err != nil || len(l) != 1 || l[0].Action != want || l[0].Widgets != 2 {
				t.Errorf("history of %s: %+v, %v", id, l, err)
			}
		}
		if c, err := s.Changes(t.Context(), 0); err != nil || len(c.Dashboards) != 1 || len(c.Deleted) != 1 {
			t.Errorf("changes %+v, %v", c, err)
		}
	}
}

func TestStoreKeepsWhatWasAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.db")
	first := openTestSQLite(t, path)
	d := twoWidgets(t)
	if _, err := first.Create(t.Context(), d, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Update(t.Context(), d, 1, ""); err != nil {
		t.Fatal(err)
	}
	// As after kill -9: the first one was never closed, and its files are copied as they are.
	copied := filepath.Join(t.TempDir(), "p.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := openTestSQLite(t, copied).Get(t.Context(), d.ID)
	d.Version = 2
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestStoreSettings(t *testing.T) {
	s := openTestSQLite(t, filepath.Join(t.TempDir(), "p.db"))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000"} {
		var got string
		if err := s.db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", pragma, got, err, want)
		}
	}
}

func TestOpenStoreSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	later := filepath.Join(dir, "later.db")
	s := openTestSQLite(t, later)
	if _, err := s.db.ExecContext(context.Background(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"postgres://u:secret@127.0.0.1:1/x": "PostgreSQL database x at 127.0.0.1:1",
		"postgres://u:secret@db:port/x":     "postgres://user@host:port/name",
		"":                                  "no path given",
		filepath.Join(dir, "none", "x.db"):  "check that its folder exists",
		text:                                "not a database",
		later:                               "written by a later Pulseboard",
	} {
		at, err := ParseDatabase(path, secret.Text{})
		var s *Store
		if err == nil {
			s, err = OpenStore(t.Context(), at)
		}
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one with %q", path, err, want)
		}
	}
}
