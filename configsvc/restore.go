package configsvc

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// RestoreCounts is what a restore did with the dashboards.
type RestoreCounts struct {
	Restored  int // They are as in the backup.
	Unchanged int // They were.
	Deleted   int // They were made, or made again, after it; their versions are kept.
	Versions  int // That were not there.
}

// RestoreBackup makes the database what it was when the backup was made, in one
// transaction. Services may be running on it: every dashboard that differs gets a
// version that no client has seen, so that ETags and streams go on, and the
// newer versions stay in its history. Dashboards that programs keep for
// themselves stay as they are.
func RestoreBackup(ctx context.Context, database Database, path string) (n RestoreCounts, err error) {
	// All of it is read before the database is locked.
	if err := VerifyBackup(path); err != nil {
		return n, err
	}
	s, err := openLossy(ctx, database)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r, err := openBackup(path)
	if err != nil {
		return n, err
	}
	defer r.file.Close() //nolint:errcheck // It is only read.
	if n, err = s.restore(ctx, r.head, func(t *restore) error { return t.run(ctx, r) }); err != nil {
		return n, fmt.Errorf("cannot restore %s: %w; nothing was changed", path, err)
	}
	return n, nil
}

// VerifyBackup reads a backup to its end and returns what is wrong with it.
func VerifyBackup(path string) error {
	r, err := openBackup(path)
	if err != nil {
		return err
	}
	defer r.file.Close() //nolint:errcheck // It is only read.
	for err == nil {
		_, err = r.next()
	}
	if errors.Is(err, errBackupEnd) {
		return nil
	}
	return fmt.Errorf("cannot restore %s: %w", path, err)
}

// AcceptLoss makes a database that lost changes usable with what it still holds:
// every dashboard gets a version beyond those that were lost with them.
func AcceptLoss(ctx context.Context, database Database) (n RestoreCounts, lost int64, err error) {
	s, err := openLossy(ctx, database)
	if err != nil {
		return n, 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	n, err = s.restore(ctx, backupLine{}, func(t *restore) error {
		if lost = t.gap; lost == 0 {
			return errNothingLost
		}
		for _, id := range slices.Sorted(maps.Keys(t.rows)) {
			if err := t.renew(ctx, id, t.rows[id]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return n, 0, fmt.Errorf("cannot go on with what is left in %s: %w", database, err)
	}
	return n, lost, nil
}

var errNothingLost = errors.New("it has lost nothing; start Pulseboard as it is")

// openLossy opens a database also when it has lost changes.
func openLossy(ctx context.Context, database Database) (*Store, error) {
	if database.path != "" {
		return openSQLite(ctx, database.path, true)
	}
	return OpenStore(ctx, database)
}

// restore is one transaction that brings dashboards back.
type restore struct {
	s   *Store
	tx  *sql.Tx
	n   RestoreCounts
	now time.Time
	// gap is how many versions of a dashboard people may have seen that neither the
	// database nor the backup holds: as many as changes were lost, or one a second.
	gap      int64
	revision int64
	rows     map[string]current // That the backup has not named yet.
	grown    map[string]bool    // Those that got versions back.
	own      map[string]bool    // That programs keep, and that stay as they are.
}

// current is a dashboard as the database has it.
type current struct {
	version int64
	deleted bool
}

// restore runs do in one transaction, after it has counted the change and read what
// there is. backup is the head of the backup, zero without one.
func (s *Store) restore(ctx context.Context, backup backupLine, do func(*restore) error) (RestoreCounts, error) {
	t := &restore{s: s, now: time.Now(), rows: make(map[string]current), own: make(map[string]bool), grown: make(map[string]bool)}
	err := s.change(ctx, func(tx *sql.Tx, revision int64) (c Changes, err error) {
		t.tx = tx
		if err := t.begin(ctx, revision-1, backup); err != nil {
			return c, err
		}
		return c, do(t)
	})
	if err != nil {
		return RestoreCounts{}, err
	}
	s.markCommit(t.revision)
	return t.n, nil
}

// begin sets gap, revision and rows. has is the revision before.
func (t *restore) begin(ctx context.Context, has int64, backup backupLine) (err error) {
	var mark committed
	if t.s.mark != nil {
		if mark, err = t.s.mark.read(); err != nil {
			return err
		}
	}
	switch {
	case mark.revision > has:
		t.gap = mark.revision - has
	case has < backup.Revision: // It is another database than that of the backup: its changes since are unknown.
		t.gap = max(1, int64(t.now.Sub(backup.MadeAt)/time.Second))
	}
	t.revision = max(has, mark.revision, backup.Revision) + 1
	if _, err := t.tx.ExecContext(ctx, `UPDATE revision SET n = $1`, t.revision); err != nil {
		return err
	}
	return each(ctx, t.tx, func(rows *sql.Rows) error {
		var id, tags string
		var c current
		err := rows.Scan(&id, &c.version, &c.deleted, &tags)
		t.rows[id], t.own[id] = c, ownTags(tags)
		return err
	}, `SELECT id, version, deleted_ms IS NOT NULL, tags FROM dashboards`)
}

func (t *restore) run(ctx context.Context, r *backupReader) error {
	for {
		l, err := r.next()
		switch {
		case errors.Is(err, errBackupEnd):
			return errors.Join(t.deleteOthers(ctx), t.trim(ctx))
		case err != nil:
			return err
		case l.Dashboard != nil:
			err = t.dashboard(ctx, *l.Dashboard)
		case l.Version != nil:
			err = t.version(ctx, *l.Version)
		}
		if err != nil {
			return err
		}
	}
}

// dashboard makes one what it was.
func (t *restore) dashboard(ctx context.Context, b backupDashboard) error {
	c, there := t.rows[b.ID]
	delete(t.rows, b.ID)
	if t.own[b.ID] {
		return nil
	}
	if there && t.gap == 0 {
		same, err := t.same(ctx, b, c)
		if err != nil || same {
			t.n.Unchanged++
			return err
		}
	}
	v := VersionEntry{Version: b.Version, Action: actionRestored, RestoredFrom: &b.Version, At: t.now}
	if there || t.gap > 0 {
		v.Version = max(c.version, b.Version) + t.gap + 1
	}
	if b.DeletedMs != nil {
		v.Action, v.RestoredFrom = actionDeleted, nil
	}
	if err := t.put(ctx, b, v.Version); err != nil {
		return err
	}
	t.n.Restored++
	if v.Version == b.Version {
		return nil // The backup has it among its versions.
	}
	return t.note(ctx, b.ID, b.Document, v)
}

// same reports whether a dashboard is as in the backup.
func (t *restore) same(ctx context.Context, b backupDashboard, c current) (bool, error) {
	if c.deleted || b.DeletedMs != nil {
		return c.deleted && b.DeletedMs != nil, nil
	}
	var document []byte
	err := t.tx.QueryRowContext(ctx, `SELECT document FROM dashboards WHERE id = $1`, b.ID).Scan(&document)
	return bytes.Equal(document, b.Document), err
}

// put writes the dashboard itself.
func (t *restore) put(ctx context.Context, b backupDashboard, version int64) error {
	d, err := decodeDocument(b.ID, version, b.Document)
	if err != nil {
		return err
	}
	r, err := newRow(d)
	if err != nil {
		return err
	}
	size := len(b.Document)
	if b.DeletedMs != nil {
		size = 0
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO dashboards (id, version, title_key, search, tags, document, created_ms, updated_ms, deleted_ms, revision, author, bytes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO UPDATE SET version = excluded.version, title_key = excluded.title_key,
		search = excluded.search, tags = excluded.tags, document = excluded.document, created_ms = excluded.created_ms,
		updated_ms = excluded.updated_ms, deleted_ms = excluded.deleted_ms, revision = excluded.revision,
		author = excluded.author, bytes = excluded.bytes`,
		b.ID, version, r.titleKey, r.search, r.tags, string(b.Document), b.CreatedMs, t.now.UnixMilli(), b.DeletedMs, t.revision, b.By, size)
	return err
}

func (t *restore) note(ctx context.Context, id string, document []byte, v VersionEntry) error {
	d, err := decodeDocument(id, v.Version, document)
	if err != nil {
		return err
	}
	r, err := newRow(d)
	if err != nil {
		return err
	}
	return t.s.note(ctx, t.tx, r, v)
}

// version adds one to the history unless it is there.
func (t *restore) version(ctx context.Context, v backupVersion) error {
	if t.own[v.ID] {
		return nil
	}
	added, err := t.s.insertVersion(ctx, t.tx, v, `ON CONFLICT (id, version) DO NOTHING`)
	if added > 0 {
		t.grown[v.ID] = true
	}
	t.n.Versions += int(added)
	return err
}

// trim keeps what came back within the bounds of histories.
func (t *restore) trim(ctx context.Context) error {
	for id := range t.grown {
		if err := t.s.trim(ctx, t.tx, id, t.s.bounds.VersionsBytes); err != nil {
			return err
		}
	}
	return t.s.trimAll(ctx, t.tx)
}

// deleteOthers deletes the dashboards that the backup does not have. One can be
// restored from its versions.
func (t *restore) deleteOthers(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(t.rows)) {
		c := t.rows[id]
		if t.own[id] || c.deleted && t.gap == 0 {
			continue
		}
		if !c.deleted {
			t.n.Deleted++
		}
		c.deleted = true
		if err := t.renew(ctx, id, c); err != nil {
			return err
		}
	}
	return nil
}

// renew gives a dashboard a version that no client has seen, and changes nothing
// else, or deletes it.
func (t *restore) renew(ctx context.Context, id string, c current) error {
	v := VersionEntry{Version: c.version + t.gap + 1, Action: actionRestored, RestoredFrom: &c.version, At: t.now}
	var deletedMs *int64
	if c.deleted {
		ms := t.now.UnixMilli()
		v.Action, v.RestoredFrom, deletedMs = actionDeleted, nil, &ms
	} else {
		t.n.Restored++
	}
	var document []byte
	err := t.tx.QueryRowContext(ctx, `UPDATE dashboards SET version = $2, revision = $3, deleted_ms = coalesce(deleted_ms, $4)
		WHERE id = $1 RETURNING document`, id, v.Version, t.revision, deletedMs).Scan(&document)
	if err != nil {
		return err
	}
	if c.deleted {
		if _, err := t.tx.ExecContext(ctx, `UPDATE dashboards SET document = '{}', bytes = 0 WHERE id = $1`, id); err != nil {
			return err
		}
	}
	return t.note(ctx, id, document, v)
}
