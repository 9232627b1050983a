package configsvc

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"
)

// Store keeps dashboards and what they were before, in a SQL database: its statements
// keep to what SQLite and PostgreSQL both understand. Every change is one
// transaction, its entry in the history included, and durable when the call
// returns. A deleted dashboard leaves its id and versions behind: made again
// under the same id, its version goes on, so that an ETag never names two
// documents. The argument by is the name of the token that makes a change, "" where
// none was needed.
type Store struct {
	db *sql.DB
	// writer holds one token, of the transaction that writes to SQLite; nil for others.
	// SQLite itself lets writers poll, in no order, and some would wait long.
	writer chan struct{}
	path   string      // Of SQLite, "" for others.
	mark   *commitMark // Nil for others than SQLite.
	// snapshot is the isolation in which a transaction reads one moment.
	snapshot sql.IsolationLevel
	// unmarked is why the last commit could not be marked, nil = it was.
	unmarked atomic.Pointer[error]
	packer   *packer
	bounds   Bounds
	// OnChange gets each change of this process, as soon as it is committed; nil = none. It
	// is set before any change is made.
	OnChange func(Changes)
}

func newStore(db *sql.DB) *Store {
	return &Store{db: db, packer: newPacker(), bounds: DefaultBounds()}
}

// Close ends the connections; what was acknowledged is on disk already.
func (s *Store) Close() error { return s.db.Close() }

func (s *Store) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // The first error is the cause.
		return err
	}
	return tx.Commit()
}

// change takes the next revision and runs do in one transaction, and hands the changes
// that do returns to OnChange. The revision is taken first: its row is locked until the
// commit, so that changes commit in the order of their revisions, and a reader of what
// changed after one misses none.
func (s *Store) change(ctx context.Context, do func(tx *sql.Tx, revision int64) (Changes, error)) error {
	if s.writer != nil {
		select {
		case s.writer <- struct{}{}:
			defer func() { <-s.writer }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var c Changes
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		var revision int64
		if err := tx.QueryRowContext(ctx, `UPDATE revision SET n = n + 1 RETURNING n`).Scan(&revision); err != nil {
			return err
		}
		c, err = do(tx, revision)
		c.Revision = revision
		return err
	})
	if err != nil {
		return err
	}
	s.markCommit(c.Revision)
	if s.OnChange != nil {
		s.OnChange(c)
	}
	return nil
}

// markCommit writes the commit mark. When that fails, the commit stands all the same;
// /readyz then says that its loss would go unnoticed.
func (s *Store) markCommit(revision int64) {
	if s.mark == nil {
		return
	}
	if err := s.mark.raise(revision, time.Now()); err != nil {
		s.unmarked.Store(&err)
		return
	}
	s.unmarked.Store(nil)
}

// row is a document with the copies that are kept beside it.
type row struct {
	id, title, titleKey, search, tags, document string
	widgets                                     int
}

func newRow(d Dashboard) (row, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return row{}, fmt.Errorf("cannot encode dashboard %s: %w", d.ID, err)
	}
	key := titleKey(d.Title)
	return row{
		id: d.ID, title: strings.ReplaceAll(d.Title, "\x00", ""), titleKey: key, widgets: len(d.Widgets), document: string(b),
		search: key + "\n" + strings.ToLower(strings.Join(d.Tags, "\n")), tags: "\n" + strings.Join(d.Tags, "\n") + "\n",
	}, nil
}

// titleKey is what dashboards are ordered by. PostgreSQL has no text with a
// zero byte; JSON escapes it.
func titleKey(title string) string {
	return strings.ReplaceAll(strings.ToLower(title), "\x00", "")
}

// note adds the newest version of a dashboard to its history and forgets what
// is beyond the bounds.
func (s *Store) note(ctx context.Context, tx *sql.Tx, r row, v VersionEntry) error {
	b := backupVersion{ID: r.id, Version: v.Version, Action: v.Action, RestoredFrom: v.RestoredFrom, By: v.By, AtMs: v.At.UnixMilli(), Title: r.title, Widgets: r.widgets}
	if v.Action != actionDeleted {
		b.Document = json.RawMessage(r.document)
	}
	if _, err := s.insertVersion(ctx, tx, b, ""); err != nil {
		return err
	}
	if err := s.trim(ctx, tx, r.id, s.bounds.VersionsBytes); err != nil {
		return err
	}
	return s.trimAll(ctx, tx)
}

// insertVersion returns how many rows it has added, 0 or 1.
func (s *Store) insertVersion(ctx context.Context, tx *sql.Tx, v backupVersion, onConflict string) (added int64, err error) {
	var document []byte
	if v.Document != nil {
		document = s.packer.pack(v.Document)
	}
	done, err := tx.ExecContext(ctx, `INSERT INTO dashboard_versions (id, version, action, restored_from, author, at_ms, title, widgets, bytes, document)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) `+onConflict,
		v.ID, v.Version, v.Action, v.RestoredFrom, v.By, v.AtMs, v.Title, v.Widgets, versionSize+2*len(v.Title)+len(document), document)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// versionSize is about what a version takes beside its title and document.
const versionSize = 100

const (
	insertNew = `INSERT INTO dashboards (id, version, title_key, search, tags, document, created_ms, updated_ms, revision, author, bytes)
		VALUES ($1, 1, $2, $3, $4, $5, $6, $6, $7, $8, $9) ON CONFLICT (id) `
	orNothing = `DO NOTHING RETURNING version`
	orRevive  = `DO UPDATE SET version = dashboards.version + 1, title_key = excluded.title_key, search = excluded.search,
		tags = excluded.tags, document = excluded.document, created_ms = excluded.created_ms, updated_ms = excluded.updated_ms,
		revision = excluded.revision, author = excluded.author, bytes = excluded.bytes, deleted_ms = NULL
		WHERE dashboards.deleted_ms IS NOT NULL RETURNING version`
)

func (s *Store) insert(ctx context.Context, d Dashboard, onConflict, by string) (version int64, err error) {
	r, err := newRow(d)
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *sql.Tx, revision int64) (c Changes, err error) {
		now := time.Now()
		full := s.room(ctx, tx, r.id, by, int64(len(r.document)))
		err = tx.QueryRowContext(ctx, insertNew+onConflict, r.id, r.titleKey, r.search, r.tags, r.document, now.UnixMilli(), revision, by, len(r.document)).Scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			return c, ErrExists
		}
		if err := cmp.Or(err, full); err != nil {
			return c, err
		}
		return changed(d, version, by), s.note(ctx, tx, r, VersionEntry{Version: version, Action: actionCreated, At: now, By: by})
	})
	if err != nil {
		return 0, fmt.Errorf("cannot create dashboard %s: %w", d.ID, err)
	}
	return version, nil
}

// changed is the change that made d.
func changed(d Dashboard, version int64, by string) Changes {
	d.Version = version
	return Changes{Dashboards: []Dashboard{d}, By: map[string]string{d.ID: by}}
}

// Create adds d and returns its version; ErrExists, *FullError.
func (s *Store) Create(ctx context.Context, d Dashboard, by string) (int64, error) {
	return s.insert(ctx, d, orRevive, by)
}

// CreateFirst adds d unless its id was ever used, also by a dashboard deleted since.
func (s *Store) CreateFirst(ctx context.Context, d Dashboard) (bool, error) {
	_, err := s.insert(ctx, d, orNothing, "")
	if errors.Is(err, ErrExists) {
		return false, nil
	}
	return err == nil, err
}

// Get returns a dashboard; ErrNotFound.
func (s *Store) Get(ctx context.Context, id string) (Dashboard, error) {
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

// Update replaces the dashboard of d.ID if its version is expected, and
// returns the new version; ErrNotFound, *ConflictError, *FullError.
func (s *Store) Update(ctx context.Context, d Dashboard, expected int64, by string) (int64, error) {
	return s.write(ctx, d, expected, VersionEntry{Action: actionChanged, By: by})
}

// Restore is Update with what d was in version from. A deleted dashboard
// comes back; expected is the version of its deletion then.
func (s *Store) Restore(ctx context.Context, d Dashboard, expected, from int64, by string) (int64, error) {
	return s.write(ctx, d, expected, VersionEntry{Action: actionRestored, RestoredFrom: &from, By: by})
}

// write gives a dashboard of version expected a new one. Only a restoration finds deleted ones.
func (s *Store) write(ctx context.Context, d Dashboard, expected int64, v VersionEntry) (int64, error) {
	r, err := newRow(d)
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *sql.Tx, revision int64) (c Changes, err error) {
		v.At = time.Now()
		deletedToo := v.Action == actionRestored
		full := s.room(ctx, tx, r.id, v.By, int64(len(r.document)))
		err = tx.QueryRowContext(ctx, `UPDATE dashboards SET version = version + 1, title_key = $3, search = $4, tags = $5, document = $6, updated_ms = $7,
			revision = $8, author = $9, bytes = $10, deleted_ms = NULL WHERE id = $1 AND version = $2 AND (deleted_ms IS NULL OR $11) RETURNING version`,
			r.id, expected, r.titleKey, r.search, r.tags, r.document, v.At.UnixMilli(), revision, v.By, len(r.document), deletedToo).Scan(&v.Version)
		if err := cmp.Or(refused(ctx, tx, r.id, deletedToo, err), full); err != nil {
			return c, err
		}
		return changed(d, v.Version, v.By), s.note(ctx, tx, r, v)
	})
	if err != nil {
		return 0, fmt.Errorf("cannot update dashboard %s: %w", d.ID, err)
	}
	return v.Version, nil
}

// Delete removes a dashboard if its version is expected; ErrNotFound, *ConflictError.
func (s *Store) Delete(ctx context.Context, id string, expected int64, by string) error {
	err := s.change(ctx, func(tx *sql.Tx, revision int64) (c Changes, err error) {
		v := VersionEntry{Action: actionDeleted, By: by, At: time.Now()}
		var document []byte
		err = tx.QueryRowContext(ctx, `SELECT document FROM dashboards WHERE id = $1 AND version = $2 AND deleted_ms IS NULL`, id, expected).Scan(&document)
		if err := refused(ctx, tx, id, false, err); err != nil {
			return c, err
		}
		c.Deleted = []string{id}
		v.Version = expected + 1
		if _, err := tx.ExecContext(ctx, `UPDATE dashboards SET version = $2, deleted_ms = $3, revision = $4, document = '{}', bytes = 0 WHERE id = $1`,
			id, v.Version, v.At.UnixMilli(), revision); err != nil {
			return c, err
		}
		d, err := decodeDocument(id, v.Version, document)
		if err != nil {
			return c, err
		}
		if d.own() {
			// Drafts are many, and are not restored.
			return c, forgetVersions(ctx, tx, `id = $1`, id)
		}
		r, err := newRow(d)
		if err != nil {
			return c, err
		}
		return c, s.note(ctx, tx, r, v)
	})
	if err != nil {
		return fmt.Errorf("cannot delete dashboard %s: %w", id, err)
	}
	return nil
}

// refused finds out why a change of one version met no row: the dashboard has another
// version, or there is none, deleted ones aside unless deletedToo.
func refused(ctx context.Context, tx *sql.Tx, id string, deletedToo bool, err error) error {
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var current int64
	err = tx.QueryRowContext(ctx, `SELECT version FROM dashboards WHERE id = $1 AND (deleted_ms IS NULL OR $2)`, id, deletedToo).Scan(&current)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case err != nil:
		return err
	}
	return &ConflictError{Current: current}
}

// List returns at most q.Limit dashboards ordered by title and id.
func (s *Store) List(ctx context.Context, q ListQuery) ([]Summary, error) {
	where := []string{"deleted_ms IS NULL"}
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if q.Text != "" {
		where = append(where, "search LIKE "+arg("%"+escapeLike(strings.ToLower(q.Text))+"%")+` ESCAPE '\'`)
	}
	if !q.Own {
		where = append(where, "replace(tags, "+arg("\n"+OwnTags)+", '') = tags")
	}
	for _, tag := range q.Tags {
		// Not LIKE, which ignores case in SQLite and not in PostgreSQL.
		where = append(where, "replace(tags, "+arg("\n"+tag+"\n")+", '') <> tags")
	}
	if q.After != (Place{}) {
		where = append(where, "(title_key, id) > ("+arg(q.After.TitleKey)+", "+arg(q.After.ID)+")")
	}
	query := `SELECT id, version, document, updated_ms FROM dashboards WHERE ` + strings.Join(where, " AND ") + ` ORDER BY title_key, id LIMIT ` + arg(q.Limit)
	out := []Summary{}
	err := each(ctx, s.db, func(rows *sql.Rows) error {
		var id string
		var version, updated int64
		var document []byte
		if err := rows.Scan(&id, &version, &document, &updated); err != nil {
			return err
		}
		d, err := decodeDocument(id, version, document)
		out = append(out, Summary{
			ID: id, Title: d.Title, Version: version, Tags: d.Tags, Variables: d.Variables,
			Widgets: len(d.Widgets), UpdatedAt: time.UnixMilli(updated).UTC(),
		})
		return err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("cannot list the dashboards: %w", err)
	}
	return out, nil
}

// each calls read for each row that a query finds, until one is an error.
func each(ctx context.Context, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, read func(*sql.Rows) error, query string, args ...any,
) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err returns its errors.
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// Changes returns what has changed after a revision, 0 for all there is.
func (s *Store) Changes(ctx context.Context, after int64) (c Changes, err error) {
	// Read before the dashboards, so that a change in between is in the next Changes too.
	if c.Revision, err = s.Revision(ctx); err != nil {
		return c, err
	}
	c.By = make(map[string]string)
	err = each(ctx, s.db, func(rows *sql.Rows) error {
		var id, author string
		var version int64
		var document []byte
		if err := rows.Scan(&id, &version, &author, &document); err != nil {
			return err
		}
		if document == nil {
			c.Deleted = append(c.Deleted, id)
			return nil
		}
		d, err := decodeDocument(id, version, document)
		c.Dashboards = append(c.Dashboards, d)
		c.By[id] = author
		return err
	}, `SELECT id, version, author, CASE WHEN deleted_ms IS NULL THEN document END FROM dashboards WHERE revision > $1 ORDER BY id`, after)
	if err != nil {
		return c, fmt.Errorf("cannot read the dashboards: %w", err)
	}
	return c, nil
}

// Versions returns at most limit versions below before, newest first, of a
// deleted dashboard too. before 0 begins with the newest; ErrNotFound then
// if the id was never used.
func (s *Store) Versions(ctx context.Context, id string, before int64, limit int) ([]VersionEntry, error) {
	from := before
	if before == 0 {
		from = math.MaxInt64
	}
	out := []VersionEntry{}
	err := each(ctx, s.db, func(rows *sql.Rows) error {
		var v VersionEntry
		var at int64
		err := rows.Scan(&v.Version, &v.Action, &v.RestoredFrom, &v.By, &at, &v.Title, &v.Widgets)
		v.At = time.UnixMilli(at).UTC()
		out = append(out, v)
		return err
	}, `SELECT version, action, restored_from, author, at_ms, title, widgets FROM dashboard_versions
		WHERE id = $1 AND version < $2 ORDER BY version DESC LIMIT $3`, id, from, limit)
	if err == nil && before == 0 && len(out) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the versions of dashboard %s: %w", id, err)
	}
	return out, nil
}

// GetVersion returns a dashboard as it was; ErrNotFound, also for a deletion.
func (s *Store) GetVersion(ctx context.Context, id string, version int64) (Dashboard, error) {
	var document []byte
	err := s.db.QueryRowContext(ctx, `SELECT document FROM dashboard_versions WHERE id = $1 AND version = $2 AND document IS NOT NULL`, id, version).Scan(&document)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err == nil {
		document, err = s.packer.unpack(document)
	}
	if err != nil {
		return Dashboard{}, fmt.Errorf("cannot read version %d of dashboard %s: %w", version, id, err)
	}
	return decodeDocument(id, version, document)
}

// Installation is the id of this installation among others that use the same Redis.
func (s *Store) Installation(ctx context.Context) (id string, err error) {
	if err := s.db.QueryRowContext(ctx, `SELECT id FROM installation`).Scan(&id); err != nil {
		return "", fmt.Errorf("cannot read the id of the installation: %w", err)
	}
	return id, nil
}

// Revision counts changes: while it is the same, nothing has changed.
func (s *Store) Revision(ctx context.Context) (n int64, err error) {
	if err := s.db.QueryRowContext(ctx, `SELECT n FROM revision`).Scan(&n); err != nil {
		return 0, fmt.Errorf("cannot read the revision of the dashboards: %w", err)
	}
	return n, nil
}
