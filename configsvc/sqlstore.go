package configsvc

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SQLStore is a Store in a SQL database. Its statements keep to what SQLite
// and PostgreSQL both understand.
type SQLStore struct{ db *sql.DB }

var _ Store = (*SQLStore)(nil)

// Close ends the connections; what was acknowledged is on disk already.
func (s *SQLStore) Close() error { return s.db.Close() }

// Ping reports whether the database answers.
func (s *SQLStore) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

func (s *SQLStore) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // The first error says more.
		return err
	}
	return tx.Commit()
}

// change runs do and counts the change, both or neither.
func (s *SQLStore) change(ctx context.Context, do func(*sql.Tx) error) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE revision SET n = n + 1`)
		return err
	})
}

// columns are the copies that are kept beside the document.
func (d Dashboard) columns() (titleKey, search, tags, document string, err error) {
	b, err := json.Marshal(d)
	if err != nil {
		return "", "", "", "", fmt.Errorf("cannot encode dashboard %s: %w", d.ID, err)
	}
	// PostgreSQL has no text with a zero byte; JSON escapes it.
	titleKey = strings.ReplaceAll(strings.ToLower(d.Title), "\x00", "")
	search = titleKey + "\n" + strings.ToLower(strings.Join(d.Tags, "\n"))
	return titleKey, search, "\n" + strings.Join(d.Tags, "\n") + "\n", string(b), nil
}

const (
	insertNew = `INSERT INTO dashboards (id, version, title_key, search, tags, document, created_ms, updated_ms)
		VALUES ($1, 1, $2, $3, $4, $5, $6, $6) ON CONFLICT (id) `
	orNothing = `DO NOTHING RETURNING version`
	orRevive  = `DO UPDATE SET version = dashboards.version + 1, title_key = excluded.title_key, search = excluded.search,
		tags = excluded.tags, document = excluded.document, created_ms = excluded.created_ms, updated_ms = excluded.updated_ms, deleted_ms = NULL
		WHERE dashboards.deleted_ms IS NOT NULL RETURNING version`
)

func (s *SQLStore) insert(ctx context.Context, d Dashboard, onConflict string) (version int64, err error) {
	titleKey, search, tags, document, err := d.columns()
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, insertNew+onConflict, d.ID, titleKey, search, tags, document, time.Now().UnixMilli()).Scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrExists
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot create dashboard %s: %w", d.ID, err)
	}
	return version, nil
}

// Create implements Store.
func (s *SQLStore) Create(ctx context.Context, d Dashboard) (int64, error) {
	return s.insert(ctx, d, orRevive)
}

// CreateFirst implements Store.
func (s *SQLStore) CreateFirst(ctx context.Context, d Dashboard) (bool, error) {
	_, err := s.insert(ctx, d, orNothing)
	if errors.Is(err, ErrExists) {
		return false, nil
	}
	return err == nil, err
}

// Get implements Store.
func (s *SQLStore) Get(ctx context.Context, id string) (Dashboard, error) {
	var version int64
	var document []byte
	err := s.db.QueryRowContext(ctx, `SELECT version, document FROM dashboards WHERE id = $1 AND deleted_ms IS NULL`, id).Scan(&version, &document)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Dashboard{}, fmt.Errorf("cannot read dashboard %s: %w", id, err)
	}
	return decodeDocument(id, version, document)
}

// decodeDocument reads a stored document. The column is the version's only
// owner: a document is written before its version is known.
func decodeDocument(id string, version int64, document []byte) (Dashboard, error) {
	var d Dashboard
	if err := json.Unmarshal(document, &d); err != nil {
		return Dashboard{}, fmt.Errorf("cannot decode dashboard %s: %w", id, err)
	}
	d.Version = version
	return d, nil
}

// Update implements Store.
func (s *SQLStore) Update(ctx context.Context, d Dashboard, expected int64) (version int64, err error) {
	titleKey, search, tags, document, err := d.columns()
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE dashboards SET version = version + 1, title_key = $3, search = $4, tags = $5, document = $6, updated_ms = $7
			WHERE id = $1 AND version = $2 AND deleted_ms IS NULL RETURNING version`,
			d.ID, expected, titleKey, search, tags, document, time.Now().UnixMilli()).Scan(&version)
		return refused(ctx, tx, d.ID, err)
	})
	if err != nil {
		return 0, fmt.Errorf("cannot update dashboard %s: %w", d.ID, err)
	}
	return version, nil
}

// Delete implements Store.
func (s *SQLStore) Delete(ctx context.Context, id string, expected int64) error {
	err := s.change(ctx, func(tx *sql.Tx) error {
		var version int64
		err := tx.QueryRowContext(ctx, `UPDATE dashboards SET version = version + 1, deleted_ms = $3
			WHERE id = $1 AND version = $2 AND deleted_ms IS NULL RETURNING version`,
			id, expected, time.Now().UnixMilli()).Scan(&version)
		return refused(ctx, tx, id, err)
	})
	if err != nil {
		return fmt.Errorf("cannot delete dashboard %s: %w", id, err)
	}
	return nil
}

// refused finds out why a change of one version met no row.
func refused(ctx context.Context, tx *sql.Tx, id string, err error) error {
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var current int64
	err = tx.QueryRowContext(ctx, `SELECT version FROM dashboards WHERE id = $1 AND deleted_ms IS NULL`, id).Scan(&current)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case err != nil:
		return err
	}
	return &ConflictError{Current: current}
}

// List implements Store.
func (s *SQLStore) List(ctx context.Context, q ListQuery) ([]Summary, error) {
	where := []string{"deleted_ms IS NULL"}
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if q.Text != "" {
		where = append(where, "search LIKE "+arg("%"+escapeLike(strings.ToLower(q.Text))+"%")+` ESCAPE '\'`)
	}
	for _, tag := range q.Tags {
		// Not LIKE, which ignores case in SQLite and not in PostgreSQL.
		where = append(where, "replace(tags, "+arg("\n"+tag+"\n")+", '') <> tags")
	}
	if q.After != (Place{}) {
		where = append(where, "(title_key, id) > ("+arg(q.After.TitleKey)+", "+arg(q.After.ID)+")")
	}
	rows, err := s.db.QueryContext(ctx, `SELECT id, version, title_key, document, updated_ms FROM dashboards WHERE `+
		strings.Join(where, " AND ")+` ORDER BY title_key, id LIMIT `+arg(q.Limit), args...)
	if err != nil {
		return nil, fmt.Errorf("cannot list the dashboards: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells of its errors.
	out := []Summary{}
	for rows.Next() {
		var id, titleKey string
		var version, updated int64
		var document []byte
		if err := rows.Scan(&id, &version, &titleKey, &document, &updated); err != nil {
			return nil, fmt.Errorf("cannot list the dashboards: %w", err)
		}
		d, err := decodeDocument(id, version, document)
		if err != nil {
			return nil, err
		}
		out = append(out, Summary{
			ID: id, Title: d.Title, Version: version, Tags: d.Tags, Variables: d.Variables,
			Widgets: len(d.Widgets), UpdatedAt: time.UnixMilli(updated).UTC(), TitleKey: titleKey,
		})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot list the dashboards: %w", err)
	}
	return out, nil
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// All implements Store.
func (s *SQLStore) All(ctx context.Context) ([]Dashboard, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, version, document FROM dashboards WHERE deleted_ms IS NULL ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("cannot read the dashboards: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells of its errors.
	var out []Dashboard
	for rows.Next() {
		var id string
		var version int64
		var document []byte
		if err := rows.Scan(&id, &version, &document); err != nil {
			return nil, fmt.Errorf("cannot read the dashboards: %w", err)
		}
		d, err := decodeDocument(id, version, document)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the dashboards: %w", err)
	}
	return out, nil
}

// Revision implements Store.
func (s *SQLStore) Revision(ctx context.Context) (n int64, err error) {
	if err := s.db.QueryRowContext(ctx, `SELECT n FROM revision`).Scan(&n); err != nil {
		return 0, fmt.Errorf("cannot read the revision of the dashboards: %w", err)
	}
	return n, nil
}
