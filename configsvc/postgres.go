package configsvc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const postgresConnections = 8

func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

func openPostgres(ctx context.Context, address string) (*SQLStore, error) {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		// Without the text of the error, which may hold the password.
		return nil, errors.New("cannot open the PostgreSQL database: --database must have the form postgres://user:password@host:port/name")
	}
	// Never the address itself: it holds the password.
	name := fmt.Sprintf("PostgreSQL database %s at %s", c.Database, net.JoinHostPort(c.Host, fmt.Sprint(c.Port)))
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(postgresConnections)
	db.SetConnMaxIdleTime(time.Minute)
	if err := migratePostgres(ctx, db); err != nil {
		_ = db.Close() // Nothing was written.
		return nil, fmt.Errorf("cannot open the %s: %w; check that it runs and that the user may make tables there, or name another with --database", name, oneLine(err))
	}
	return newSQLStore(db)
}

func migratePostgres(ctx context.Context, db *sql.DB) error {
	// The first connection tells what is wrong with the address.
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	// Several nodes may start at once: one makes the schema, the others wait.
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	return migrate(ctx, db, goose.DialectPostgres, "postgres", goose.WithSessionLocker(locker))
}

// oneLine takes the reason out of an error of a connection, which lists each attempt in a line of its own.
func oneLine(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return errors.New(refused.Message)
	}
	if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		lines := strings.Split(failed.Unwrap().Error(), "\n")
		return errors.New(strings.TrimSpace(lines[len(lines)-1]))
	}
	return err
}
