package configsvc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// LostError is returned for a SQLite database that is older than what was acknowledged.
type LostError struct {
	Path      string
	Has       int64 // The revision of the database, 0 = there is none.
	Committed int64 // The revision that was committed last.
	At        time.Time
}

func (e *LostError) Error() string {
	was := fmt.Sprintf("it is at revision %d, but revision %d was committed at %s: %d of the changes that people were told of are lost. "+
		"Its write-ahead log (%s-wal) was cut or damaged, or an older copy of the file stands in its place",
		e.Has, e.Committed, e.At.UTC().Format(time.RFC3339), e.Committed-e.Has, filepath.Base(e.Path))
	if e.Has == 0 {
		was = fmt.Sprintf("it is empty or gone, but revision %d was committed at %s", e.Committed, e.At.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("the database %s has lost dashboards: %s. Bring the file and its log back, or restore a backup: "+
		"pulseboard restore --in FILE --database %s; or go on with what is left: pulseboard restore --accept-loss --database %s", e.Path, was, e.Path, e.Path)
}

// DamagedError is returned for a SQLite database whose file is damaged.
type DamagedError struct {
	Path string
	What string // The first fault that SQLite reports.
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the database %s is damaged: %s. Nothing was changed. Move its files away (%s*), then restore a backup: "+
		"pulseboard restore --in FILE --database %s; without one, sqlite3 FILE .recover saves what can be read", e.Path, e.What, e.Path, e.Path)
}

// checkSQLite checks a database before anything is written to it: SQLite removes the
// damaged part of a log as soon as it writes. Other processes may use the database.
func checkSQLite(ctx context.Context, path string, acceptLoss bool) error {
	// The mark first: what is committed meanwhile is in the database then.
	mark, err := newCommitMark(path).read()
	if err != nil {
		return err
	}
	var revision int64
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("cannot open the database %s: %w", path, err)
	case info.Size() == 0 && mark.revision == 0:
		return nil // As touch makes it.
	default:
		if revision, err = inspectSQLite(ctx, path, "integrity_check"); err != nil {
			return err
		}
	}
	if revision < mark.revision && !acceptLoss {
		return &LostError{Path: path, Has: revision, Committed: mark.revision, At: mark.at}
	}
	return nil
}

// inspectSQLite runs a check of all pages over a connection of its own, whose
// cache is empty and which writes nothing, and returns the revision, 0 without one.
func inspectSQLite(ctx context.Context, path, check string) (revision int64, err error) {
	db, err := sql.Open("sqlite", fileURL(path)+readOnly)
	if err != nil {
		return 0, fmt.Errorf("cannot open the database %s: %w", path, err)
	}
	defer db.Close() //nolint:errcheck // It was only read.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, sqliteFault(path, err)
	}
	defer tx.Rollback() //nolint:errcheck // It was only read.
	var what string
	if err := tx.QueryRowContext(ctx, `PRAGMA `+check+`(1)`).Scan(&what); err != nil {
		return 0, sqliteFault(path, err)
	}
	if what != "ok" {
		// The lines before only name the database.
		lines := strings.Split(strings.TrimSpace(what), "\n")
		return 0, &DamagedError{Path: path, What: lines[len(lines)-1]}
	}
	broken, err := exists(ctx, tx, `SELECT 1 FROM pragma_foreign_key_check LIMIT 1`)
	if err != nil {
		return 0, sqliteFault(path, err)
	}
	if broken {
		return 0, &DamagedError{Path: path, What: "a row belongs to another that is not there (foreign_key_check)"}
	}
	ours, err := exists(ctx, tx, `SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'revision'`)
	if err != nil || !ours {
		return 0, sqliteFault(path, err)
	}
	err = tx.QueryRowContext(ctx, `SELECT n FROM revision`).Scan(&revision)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return revision, sqliteFault(path, err)
}

func exists(ctx context.Context, tx *sql.Tx, query string) (bool, error) {
	var one int
	err := tx.QueryRowContext(ctx, query).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// sqliteFault returns a *DamagedError for damage, and other errors with the path.
func sqliteFault(path string, err error) error {
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*sqlite.Error](err); ok {
		switch failed.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return &DamagedError{Path: path, What: failed.Error()}
		}
	}
	return fmt.Errorf("cannot read the database %s: %w", path, err)
}
