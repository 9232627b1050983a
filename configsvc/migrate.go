package configsvc

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

func migrationsOf(db *sql.DB, dialect goose.Dialect, folder string, opts ...goose.ProviderOption) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(dialect, db, files, opts...)
	if err != nil {
		return nil, fmt.Errorf("cannot read the migrations: %w", err)
	}
	return p, nil
}

// migrate brings the schema up to date. It refuses a database that a later
// Pulseboard has changed: this one would not keep what that one relies on.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string, opts ...goose.ProviderOption) error {
	p, err := migrationsOf(db, dialect, folder, opts...)
	if err != nil {
		return err
	}
	has, knows, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if has > knows {
		return fmt.Errorf("it was written by a later Pulseboard (schema %d, this one reads up to %d)", has, knows)
	}
	_, err = p.Up(ctx)
	return err
}

// checkSchema refuses a database whose schema is not that of this program. It writes nothing.
func checkSchema(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string) error {
	p, err := migrationsOf(db, dialect, folder)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	knows := sources[len(sources)-1].Version
	var has int64
	if err := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&has); err != nil {
		return fmt.Errorf("it holds no dashboards of Pulseboard: %w", err)
	}
	if has != knows {
		return fmt.Errorf("it has schema %d and this program knows %d: use the program that runs on it, or start this one on it first", has, knows)
	}
	return nil
}
