package configsvc

import (
	"context"
	"crypto/x509"
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

func hostPort(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") {
		return c.Host // The folder of a socket.
	}
	return net.JoinHostPort(c.Host, fmt.Sprint(c.Port))
}

func openPostgres(ctx context.Context, d Database, prepare func(context.Context, *sql.DB) error) (*Store, error) {
	c, err := pgx.ParseConfig(d.postgres.Reveal())
	if err != nil {
		return nil, errDatabaseForm // Without the text of the error, which may hold the password.
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(postgresConnections)
	db.SetConnMaxIdleTime(time.Minute)
	if err := prepare(ctx, db); err != nil {
		_ = db.Close() // Nothing was written.
		return nil, fmt.Errorf("cannot open the %s: %w", d, explainPostgres(err))
	}
	s := newStore(db)
	s.snapshot = sql.LevelRepeatableRead
	return s, nil
}

func migratePostgres(ctx context.Context, db *sql.DB) error {
	// Its error names what is wrong with the address; goose would hide that.
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

// SQLSTATE codes of a login that is refused.
const (
	wrongPassword = "28P01"
	noLogin       = "28000"
)

// explainPostgres adds the fix to the error of a database that cannot be used.
func explainPostgres(err error) error {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	var unknown x509.UnknownAuthorityError
	switch {
	case ok && (refused.Code == wrongPassword || refused.Code == noLogin):
		return fmt.Errorf("%s; correct the user in --database, or the password in the file of --database-password-file or in PULSEBOARD_DATABASE_PASSWORD", refused.Message)
	case errors.As(err, &unknown):
		return errors.New("its certificate is signed by nobody who is trusted: name the file of its authority in --database, ?sslmode=verify-full&sslrootcert=/path/ca.pem")
	}
	return fmt.Errorf("%w; check that it runs and that the user may make tables there, or name another with --database", oneLine(err))
}

// oneLine takes the reason out of an error of a connection, which lists each attempt in a line of its own.
func oneLine(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return errors.New(refused.Message)
	}
	if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok { // It names the user too.
		lines := strings.Split(failed.Unwrap().Error(), "\n")
		return errors.New(strings.TrimSpace(lines[len(lines)-1]))
	}
	return err
}
