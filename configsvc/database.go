package configsvc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"pulseboard/internal/conf"
	"pulseboard/internal/secret"
)

// Database is where dashboards are kept. However it is printed or logged, its
// password is not in it.
type Database struct {
	path     string      // Of a SQLite file.
	postgres secret.Text // The whole URL, with the password.
	shown    string
}

// SQLite is the database in a file.
func SQLite(path string) Database { return Database{path: path, shown: path} }

// IsZero reports whether none is named.
func (d Database) IsZero() bool { return d.path == "" && !d.postgres.IsSet() }

// String is the path of the file, or where the PostgreSQL is.
func (d Database) String() string { return d.shown }

// LogValue implements slog.LogValuer.
func (d Database) LogValue() slog.Value { return slog.StringValue(d.shown) }

const databaseFlag = "database"

// DatabaseFlags defines --database, with its default, and its password's. about is
// the usage of --database.
func DatabaseFlags(f *conf.Flags, d *Database, path, about string) {
	a := &conf.Address{Text: path}
	f.Var(a, databaseFlag, about+": the path of a file for SQLite, made when it is not there, or postgres://user@host:port/name")
	var password conf.Secret
	f.Secret(&password, databaseFlag+"-password", "the password of PostgreSQL")
	f.Check(func() error {
		if a.Text == "" {
			return nil
		}
		read, err := ParseDatabase(a.Text, password.Text)
		*d = read
		return err
	})
}

var errDatabaseForm = errors.New("cannot read the address of the database: --database must be the path of a file for SQLite, or have the form " +
	"postgres://user@host:port/name; characters such as / @ : # in a user or password are written %2F %40 %3A %23")

// ParseDatabase reads the path of a SQLite file, or a URL of PostgreSQL, whose
// password may come by itself. Its errors never quote the text.
func ParseDatabase(text string, password secret.Text) (Database, error) {
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		switch {
		// No file name, but perhaps an address with a password, so it is not quoted.
		case strings.Contains(text, "://"), secret.Holds(text):
			return Database{}, errDatabaseForm
		case password.IsSet():
			return Database{}, errors.New("--database-password-file and PULSEBOARD_DATABASE_PASSWORD are for PostgreSQL, and --database is a file: take them away, or name postgres://…")
		}
		return SQLite(text), nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return Database{}, errDatabaseForm
	}
	query := u.Query()
	_, own := u.User.Password()
	own = own || query.Has("password")
	if own && password.IsSet() {
		return Database{}, errors.New("the address of the database has a password, and --database-password-file or PULSEBOARD_DATABASE_PASSWORD another: keep one of them")
	}
	if password.IsSet() {
		user := u.User.Username()
		u.User = url.UserPassword(user, password.Reveal())
	}
	c, err := pgx.ParseConfig(u.String())
	if err != nil {
		return Database{}, errDatabaseForm
	}
	shown := fmt.Sprintf("PostgreSQL database %s at %s", c.Database, hostPort(c))
	return Database{postgres: secret.New(u.String()), shown: shown}, nil
}
