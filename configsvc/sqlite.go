package configsvc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // The driver named "sqlite".
)

// OpenStore opens a PostgreSQL database, or a SQLite file, which is made when it is
// not there, and brings its schema up to date. The folder must exist.
func OpenStore(ctx context.Context, at Database) (*Store, error) {
	if at.postgres.IsSet() {
		return openPostgres(ctx, at, migratePostgres)
	}
	if at.path == "" {
		return nil, errors.New("cannot open the database: no path given; pass one with --database")
	}
	return openSQLite(ctx, at.path, false)
}

// OpenToRead opens a database that is there, and changes nothing in it.
func OpenToRead(ctx context.Context, at Database) (*Store, error) {
	if at.postgres.IsSet() {
		return openPostgres(ctx, at, func(ctx context.Context, db *sql.DB) error {
			return checkSchema(ctx, db, goose.DialectPostgres, "postgres")
		})
	}
	database := at.path
	if _, err := os.Stat(database); err != nil {
		return nil, fmt.Errorf("cannot open the database: %w; name it with --database", err)
	}
	if err := checkSQLite(ctx, database, false); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", fileURL(database)+readOnly)
	if err != nil {
		return nil, fmt.Errorf("cannot open the database %s: %w", database, err)
	}
	if err := checkSchema(ctx, db, goose.DialectSQLite3, "sqlite"); err != nil {
		_ = db.Close() // It was only read.
		return nil, fmt.Errorf("cannot open the database %s: %w", database, err)
	}
	s := newStore(db)
	s.path = database
	return s, nil
}

// openSQLite opens a SQLite file; with acceptLoss also one that has lost changes.
func openSQLite(ctx context.Context, path string, acceptLoss bool) (*Store, error) {
	if err := checkSQLite(ctx, path, acceptLoss); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", sqliteName(path))
	if err != nil {
		return nil, fmt.Errorf("cannot open the database %s: %w", path, err)
	}
	// Writers wait for each other in SQLite anyway; a few readers go beside them.
	db.SetMaxOpenConns(4)
	s := newStore(db)
	s.path, s.writer, s.mark = path, make(chan struct{}, 1), newCommitMark(path)
	err = migrate(ctx, db, goose.DialectSQLite3, "sqlite")
	if err == nil && !acceptLoss {
		err = s.markOpened(ctx)
	}
	if err != nil {
		_ = db.Close() // Nothing was written.
		return nil, fmt.Errorf("cannot open the database %s: %w; check that its folder exists and can be written, or pass another path with --database", path, err)
	}
	return s, nil
}

// markOpened marks what the database holds at its start. What a killed process
// has committed may not be on the disk yet: the checkpoint writes it there.
func (s *Store) markOpened(ctx context.Context) error {
	revision, err := s.Revision(ctx)
	if err != nil {
		return err
	}
	var busy, log, done int64
	if err := s.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &log, &done); err != nil {
		return err
	}
	if busy != 0 || log != done {
		return nil // Another process uses it, and marks what it commits.
	}
	return s.mark.raise(revision, time.Now())
}

// sqliteName returns the data source name. synchronous(FULL) writes every
// commit through to the disk: an edit that was acknowledged survives a power
// cut, not only a kill -9. Edits are rare, so its milliseconds cost nothing.
// Transactions begin as writers, since one that becomes a writer later fails
// when another was faster.
func sqliteName(path string) string {
	return fileURL(path) + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"
}

const readOnly = "?mode=ro&_pragma=busy_timeout(5000)"

func fileURL(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }
