package configsvc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

func TestSQLiteStore(t *testing.T) {
	testStore(t, func(t *testing.T) Store {
		t.Helper()
		return openSQLite(t, filepath.Join(t.TempDir(), "a ?#%41.db"))
	})
}

func openSQLite(t *testing.T, path string) *SQLStore {
	t.Helper()
	s, err := OpenStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// testStore is what every Store must do; open returns an empty one.
func testStore(t *testing.T, open func(*testing.T) Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Store){
		"versions":     testVersions,
		"deleted":      testDeleted,
		"create first": testCreateFirst,
		"list":         testList,
		"concurrent":   testConcurrent,
		"revision":     testRevision,
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

func testVersions(t *testing.T, s Store) {
	t.Helper()
	ctx := t.Context()
	d := twoWidgets(t)
	d.Title = "Größe \\ % _ <&> 🙂"
	if _, err := s.Get(ctx, d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if v, err := s.Create(ctx, d); v != 1 || err != nil {
		t.Fatalf("version %d, %v", v, err)
	}
	if _, err := s.Create(ctx, d); !errors.Is(err, ErrExists) {
		t.Errorf("error %v, want ErrExists", err)
	}
	got, err := s.Get(ctx, d.ID)
	d.Version = 1
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Fatalf("got %+v, %v; want %+v", got, err, d)
	}
	d.Title = "other"
	if v, err := s.Update(ctx, d, 1); v != 2 || err != nil {
		t.Fatalf("version %d, %v", v, err)
	}
	_, err = s.Update(ctx, d, 1)
	wantConflict(t, err, 2)
	wantConflict(t, s.Delete(ctx, d.ID, 1), 2)
	if got, err = s.Get(ctx, d.ID); err != nil || got.Title != "other" || got.Version != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	d.ID = idA
	if _, err = s.Update(ctx, d, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if err := s.Delete(ctx, idA, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

// A version names one document for ever, also when an id is used again.
func testDeleted(t *testing.T, s Store) {
	t.Helper()
	ctx := t.Context()
	d := twoWidgets(t)
	if _, err := s.Create(ctx, d); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, d.ID, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if _, err := s.Update(ctx, d, 2); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if err := s.Delete(ctx, d.ID, 2); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if all, err := s.All(ctx); err != nil || len(all) != 0 {
		t.Errorf("all %+v, %v", all, err)
	}
	if l, err := s.List(ctx, ListQuery{Limit: 10}); err != nil || len(l) != 0 {
		t.Errorf("list %+v, %v", l, err)
	}
	v, err := s.Create(ctx, d)
	if v <= 2 || err != nil {
		t.Errorf("made again with version %d, %v: versions 1 and 2 were used", v, err)
	}
	_, err = s.Update(ctx, d, 1)
	wantConflict(t, err, v)
}

func testCreateFirst(t *testing.T, s Store) {
	t.Helper()
	ctx := t.Context()
	d := twoWidgets(t)
	for _, want := range []bool{true, false} {
		if created, err := s.CreateFirst(ctx, d); created != want || err != nil {
			t.Errorf("created %v, %v; want %v", created, err, want)
		}
	}
	if err := s.Delete(ctx, d.ID, 1); err != nil {
		t.Fatal(err)
	}
	if created, err := s.CreateFirst(ctx, d); created || err != nil {
		t.Errorf("created %v, %v after people deleted it", created, err)
	}
	if _, err := s.Get(ctx, d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

func testList(t *testing.T, s Store) {
	t.Helper()
	ctx := t.Context()
	add := func(title string, tags ...string) {
		t.Helper()
		d := Dashboard{ID: uuid.NewString(), Title: title, Tags: append([]string{}, tags...), Variables: []Variable{}, Widgets: twoWidgets(t).Widgets}
		if _, err := s.Create(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	add("beta", "team-a", "eu")
	add("Alpha 100%", "team-b")
	add("alpha_2", "team-a")
	add("Zoë", "TEAM")
	add("Zoë")
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
		{ListQuery{}, "Alpha 100%,alpha_2,beta,Zoë,Zoë"},
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
		{ListQuery{After: Place{TitleKey: "beta", ID: "ffffffff"}}, "Zoë,Zoë"},
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
		after = Place{l[0].TitleKey, l[0].ID}
	}
	if len(seen) != 5 {
		t.Errorf("%d dashboards on all pages, want 5", len(seen))
	}
}

// Editors who read, change and write: each accepted write must be in the end.
func testConcurrent(t *testing.T, s Store) {
	t.Helper()
	const editors, edits = 6, 15
	ctx := t.Context()
	d := twoWidgets(t)
	d.Tags = []string{}
	if _, err := s.Create(ctx, d); err != nil {
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
				_, err = s.Update(ctx, d, d.Version)
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

func testRevision(t *testing.T, s Store) {
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
	_, _ = s.Create(ctx, d)
	check(true, "created")
	_, _ = s.Create(ctx, d)
	check(false, "refused to create")
	_, _ = s.Update(ctx, d, 1)
	check(true, "updated")
	_, _ = s.Update(ctx, d, 1)
	check(false, "refused to update")
	_ = s.Delete(ctx, d.ID, 2)
	check(true, "deleted")
	all, err := s.All(ctx)
	if err != nil || len(all) != 0 {
		t.Errorf("all %+v, %v", all, err)
	}
}

func TestStoreKeepsWhatWasAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.db")
	first := openSQLite(t, path)
	d := twoWidgets(t)
	if _, err := first.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Update(t.Context(), d, 1); err != nil {
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
	got, err := openSQLite(t, copied).Get(t.Context(), d.ID)
	d.Version = 2
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestStoreSettings(t *testing.T) {
	s := openSQLite(t, filepath.Join(t.TempDir(), "p.db"))
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
	s := openSQLite(t, later)
	if _, err := s.db.ExecContext(context.Background(), `UPDATE pulseboard_schema SET version = 99`); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"postgres://u:secret@127.0.0.1:1/x": "PostgreSQL database x at 127.0.0.1:1",
		"postgres://u:secret@db:port/x":     "postgres://user:password@host:port/name",
		"":                                  "no path given",
		filepath.Join(dir, "none", "x.db"):  "check that its folder exists",
		text:                                "not a database",
		later:                               "written by a later Pulseboard",
	} {
		s, err := OpenStore(t.Context(), path)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one with %q", path, err, want)
		}
	}
}
