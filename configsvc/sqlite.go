package configsvc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // The driver named "sqlite".
)

// OpenStore opens a PostgreSQL database, postgres://user:password@host:port/name,
// or that at the path of a SQLite file, which is made when it is not there, and
// brings its schema up to date. The folder must exist.
func OpenStore(ctx context.Context, database string) (*SQLStore, error) {
	if isPostgres(database) {
		return openPostgres(ctx, database)
	}
	if database == "" {
		return nil, errors.New("cannot open the database: no path given; pass one with --database")
	}
	db, err := sql.Open("sqlite", sqliteName(database))
	if err != nil {
		return nil, fmt.Errorf("cannot open the database %s: %w", database, err)
	}
	// Writers wait for each other in SQLite anyway; a few readers go beside them.
	db.SetMaxOpenConns(4)
	if err := migrate(ctx, db, goose.DialectSQLite3, "sqlite"); err != nil {
		_ = db.Close() // Nothing was written.
		return nil, fmt.Errorf("cannot open the database %s: %w; check that its folder exists and can be written, or pass another path with --database", database, err)
	}
	return &SQLStore{db: db, writer: make(chan struct{}, 1)}, nil
}

// sqliteName returns the data source name. synchronous(FULL) writes every
// commit through to the disk: an edit that was acknowledged survives a power
// cut, not only a kill -9. Edits are rare, so its milliseconds cost nothing.
// Transactions begin as writers, since one that becomes a writer later fails
// when another was faster.
func sqliteName(path string) string {
	escaped := (&url.URL{Path: path}).EscapedPath()
	return "file:" + escaped + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"
}
