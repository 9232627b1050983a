package configsvc

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// migrate brings the schema up to date. It refuses a database that a later
// Pulseboard has changed: this one would not keep what that one relies on.
func migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string, opts ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, db, files, opts...)
	if err != nil {
		return fmt.Errorf("cannot read the migrations: %w", err)
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

// checkSchema refuses a database whose schema is not that of this program, for
// those that only read it.
func checkSchema(ctx context.Context, db *sql.DB, folder string) error {
	files, err := fs.Glob(migrations, "migrations/"+folder+"/*.sql")
	if err != nil {
		return err
	}
	var has, knows int64
	for _, f := range files {
		number, _, _ := strings.Cut(strings.TrimPrefix(f, "migrations/"+folder+"/"), "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return err
		}
		knows = max(knows, n)
	}
	if err := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&has); err != nil {
		return fmt.Errorf("it holds no dashboards of Pulseboard: %w", err)
	}
	if has != knows {
		return fmt.Errorf("it has schema %d and this program knows %d: use the program that runs on it, or start this one on it first", has, knows)
	}
	return nil
}
