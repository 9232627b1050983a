package configsvc

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// probe runs a check of a store once.
func probe(t *testing.T, s *Store, name string) error {
	t.Helper()
	for _, c := range s.Checks() {
		if c.Name == name {
			return c.Probe(t.Context())
		}
	}
	t.Fatalf("there is no check %s", name)
	return nil
}

func TestPagesDamagedWhileRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dashboards.db")
	s := openTestSQLite(t, path)
	d := twoWidgets(t)
	for range 40 {
		d.ID = uuid.NewString()
		if _, err := s.Create(t.Context(), d, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.db.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	if err := probe(t, s, "database-pages"); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // Its file is spoiled.
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	garbage := make([]byte, 4096)
	for at := int64(4096); at < info.Size(); at += 3 * 4096 {
		if _, err := f.WriteAt(garbage, at); err != nil {
			t.Fatal(err)
		}
	}
	err = probe(t, s, "database-pages")
	if _, ok := errors.AsType[*DamagedError](err); !ok || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that tells of the damage", err)
	}
}

func TestPagesAreLookedAtSparingly(t *testing.T) {
	now := time.Now()
	path := filepath.Join(t.TempDir(), "dashboards.db")
	openTestSQLite(t, path)
	looks := 0
	p := &pageCheck{path: path, now: func() time.Time { looks++; now = now.Add(time.Second); return now }}
	for range 3 {
		if err := p.probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if looks != 3+2 {
		t.Errorf("the clock was read %d times: only the first probe should look at the pages", looks)
	}
}

// Every route that needs the database says so in the same way while it is away.
func TestDatabaseAwayIs503(t *testing.T) {
	s, srv := newAPI(t, newDB(t), nil)
	id := do(t, srv, "POST", "/dashboards", oneWidget).dashboard(t).ID
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][3]string{
		{"GET", "/dashboards", ""},
		{"POST", "/dashboards", oneWidget},
		{"GET", "/dashboards/" + id, ""},
		{"HEAD", "/dashboards/" + id, ""},
		{"PUT", "/dashboards/" + id, oneWidget},
		{"PATCH", "/dashboards/" + id, `{"title":"x"}`},
		{"PATCH", "/dashboards/" + id + "/widgets", `{}`},
		{"DELETE", "/dashboards/" + id, ""},
		{"GET", "/dashboards/" + id + "/versions", ""},
		{"GET", "/dashboards/" + id + "/versions/1", ""},
		{"POST", "/dashboards/" + id + "/versions/1/restore", ""},
	} {
		res := do(t, srv, r[0], r[1], r[2], "If-Match", "*")
		if res.status != http.StatusServiceUnavailable || res.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %d, Retry-After %q, %s", r[0], r[1], res.status, res.header.Get("Retry-After"), res.body)
		}
	}
	for _, c := range s.Checks() {
		if c.Name == "database" && c.Probe(t.Context()) == nil {
			t.Error("the check of the database is well")
		}
	}
}
