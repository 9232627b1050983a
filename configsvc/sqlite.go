package configsvc

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // The driver named "sqlite".
)

//go:embed sqlite.sql
var sqliteSchema string

// The version of the schema that this program makes and reads.
const schemaVersion = 1

// OpenStore opens a PostgreSQL database, postgres://user:password@host:port/name,
// or that at the path of a SQLite file, which is made when it is not there. The
// folder must exist.
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
	s := &SQLStore{db: db}
	if err := s.prepare(ctx, "", sqliteSchema); err != nil {
		_ = db.Close() // Nothing was written.
		return nil, fmt.Errorf("cannot open the database %s: %w; check that its folder exists and can be written, or pass another path with --database", database, err)
	}
	return s, nil
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

// prepare makes the schema in an empty database and refuses one of a later version.
func (s *SQLStore) prepare(ctx context.Context, lock, schema string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if lock != "" {
			if _, err := tx.ExecContext(ctx, lock); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS pulseboard_schema (version INTEGER NOT NULL)`); err != nil {
			return err
		}
		var version int
		err := tx.QueryRowContext(ctx, `SELECT version FROM pulseboard_schema`).Scan(&version)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			if _, err := tx.ExecContext(ctx, schema); err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO pulseboard_schema (version) VALUES ($1)`, schemaVersion)
			return err
		case err != nil:
			return err
		case version > schemaVersion:
			return fmt.Errorf("it was written by a later Pulseboard (schema %d, this one reads up to %d)", version, schemaVersion)
		}
		return nil
	})
}
