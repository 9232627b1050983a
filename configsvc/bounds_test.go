package configsvc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// bounds are those of a store, to be changed before anything is in it.
func bounds(t *testing.T, s *Store) *Bounds {
	t.Helper()
	return &s.bounds
}

// sized is a dashboard whose document has about so many bytes; noise cannot be compressed.
func sized(t *testing.T, title string, bytes int, noise bool) Dashboard {
	t.Helper()
	d := twoWidgets(t)
	d.ID, d.Title, d.Widgets = uuid.NewString(), title, d.Widgets[:1]
	text := strings.Repeat("a", bytes)
	if noise {
		var b strings.Builder
		for b.Len() < bytes {
			b.WriteString(rand.Text())
		}
		text = b.String()
	}
	d.Widgets[0].Display.Title = text
	return d
}

func count(t *testing.T, s *Store, id string) int {
	t.Helper()
	l, err := s.Versions(t.Context(), id, 0, 5000)
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	return len(l)
}

func edits(t *testing.T, s *Store, d Dashboard, n int) (version int64) {
	t.Helper()
	version, err := s.Create(t.Context(), d, "")
	for i := 1; err == nil && i < n; i++ {
		d.Title = fmt.Sprintf("edit %d", i)
		version, err = s.Update(t.Context(), d, version, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// Versions end by bytes too: what a document compresses to, not what it has.
func testKeptBytes(t *testing.T, s *Store) {
	t.Helper()
	bounds(t, s).VersionsBytes = 100_000
	same, noise, huge := sized(t, "a", 50_000, false), sized(t, "b", 20_000, true), sized(t, "c", 200_000, true)
	last := edits(t, s, same, 100)
	if n := count(t, s, same.ID); n != 100 {
		t.Errorf("%d versions of what compresses well, want all 100", n)
	}
	was, err := s.GetVersion(t.Context(), same.ID, last-50)
	if err != nil || was.Widgets[0].Display.Title != same.Widgets[0].Display.Title || was.Title != "edit 49" {
		t.Errorf("version %d is %.60q, %v", last-50, was.Title, err)
	}
	edits(t, s, noise, 100)
	if n := count(t, s, noise.ID); n < 3 || n > 8 {
		t.Errorf("%d versions of 20 KB that compress badly, in 100 KB", n)
	}
	edits(t, s, huge, 3)
	if n := count(t, s, huge.ID); n != 1 {
		t.Errorf("%d versions of what is larger than the bound, want the newest", n)
	}
}

// Who needs more than there is, is refused; making smaller and deleting are always possible.
func testRoom(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	b := bounds(t, s)
	b.Dashboards, b.Documents = 6, 100_000
	full := func(err error, what, token string) {
		t.Helper()
		var f *FullError
		if !errors.As(err, &f) || f.What != what || f.Token != token {
			t.Errorf("error %v, want %s of %q", err, what, token)
		}
	}
	create := func(d Dashboard, by string) error {
		_, err := s.Create(ctx, d, by)
		return err
	}
	mine := sized(t, "m", 40_000, false)
	for _, d := range []Dashboard{mine, sized(t, "n", 10, false), sized(t, "o", 10, false)} {
		if err := create(d, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	full(create(sized(t, "p", 10, false), "ann"), "dashboards", "ann")
	full(create(sized(t, "q", 80_000, false), "bob"), "bytes of documents", "")
	full(create(sized(t, "q", 55_000, false), "bob"), "bytes of documents", "bob")
	for range 3 {
		if err := create(sized(t, "r", 10, false), "bob"); err != nil {
			t.Fatal(err)
		}
	}
	full(create(sized(t, "s", 10, false), "eve"), "dashboards", "")
	mine.Widgets[0].Display.Title += strings.Repeat("b", 20_000)
	_, err := s.Update(ctx, mine, 1, "ann")
	full(err, "bytes of documents", "ann")
	b.Documents = 10
	mine.Widgets[0].Display.Title = "less"
	if _, err := s.Update(ctx, mine, 1, "ann"); err != nil {
		t.Errorf("what is smaller was refused: %v", err)
	}
	_, err = s.Update(ctx, mine, 1, "ann")
	wantConflict(t, err, 2)
	if err := s.Delete(ctx, mine.ID, 2, "ann"); err != nil {
		t.Errorf("a full store deletes nothing: %v", err)
	}
	full(create(sized(t, "t", 10, false), "eve"), "bytes of documents", "")
}

// Beyond the bound of all versions those of deleted dashboards go first, then
// those of the longest history: who has few keeps them.
func testLongestHistoryLoses(t *testing.T, s *Store) {
	t.Helper()
	bounds(t, s).AllVersions = 400_000
	small, gone, long := sized(t, "s", 10, true), sized(t, "g", 20_000, true), sized(t, "l", 20_000, true)
	edits(t, s, small, 5)
	if err := s.Delete(t.Context(), gone.ID, edits(t, s, gone, 5), ""); err != nil {
		t.Fatal(err)
	}
	edits(t, s, long, 60)
	if n := count(t, s, small.ID); n != 5 {
		t.Errorf("%d versions of the small one, want its 5", n)
	}
	if n := count(t, s, gone.ID); n != 0 {
		t.Errorf("%d versions of the deleted one are left", n)
	}
	if n := count(t, s, long.ID); n < 5 || n > 30 {
		t.Errorf("%d versions of the long one", n)
	}
}

// Versions of what was deleted end with time, their ids with number.
func testExpire(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	bounds(t, s).Deleted = 2
	var ids []string
	left := func() (n int) {
		for _, id := range ids {
			n += count(t, s, id)
		}
		return n
	}
	for i := range 4 {
		d := sized(t, fmt.Sprint(i), 10, false)
		if err := s.Delete(ctx, d.ID, edits(t, s, d, 2), ""); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	kept := sized(t, "kept", 10, false)
	edits(t, s, kept, 2)
	if err := s.Expire(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := left(); n != 6 {
		t.Errorf("%d versions of deleted dashboards are left, want those of two", n)
	}
	if err := s.Expire(ctx, time.Now().Add(31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := left(); n != 0 {
		t.Errorf("%d versions are left after a month", n)
	}
	if n := count(t, s, kept.ID); n != 2 {
		t.Errorf("%d versions of a dashboard that is there", n)
	}
	// Ids are still known: what people deleted does not come back by itself.
	again := 0
	for _, id := range ids {
		created, err := s.CreateFirst(ctx, Dashboard{ID: id, Title: "again"})
		if err != nil {
			t.Fatal(err)
		}
		if created {
			again++
		}
	}
	if again != 2 {
		t.Errorf("%d of 4 ids are unknown, want 2", again)
	}
}

// Drafts are many, and nobody looks for them once they are gone.
func testOwnKeepNothing(t *testing.T, s *Store) {
	t.Helper()
	d := sized(t, "draft", 10, false)
	d.Tags = []string{OwnTags + "draft"}
	if err := s.Delete(t.Context(), d.ID, edits(t, s, d, 3), ""); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, d.ID); n != 0 {
		t.Errorf("%d versions are left", n)
	}
}

// A thousand edits of 30 bytes of a document of a megabyte leave megabytes, not a gigabyte.
func TestSmallEditsOfALargeDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.db")
	s := openTestSQLite(t, path)
	d := sized(t, "large", 700_000, true)
	const n = 60
	edits(t, s, d, n)
	var bytes int64
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	if most := 3 * DefaultBounds().VersionsBytes; bytes > most {
		t.Errorf("the database has %d bytes after %d edits, want at most %d", bytes, n, most)
	}
}
