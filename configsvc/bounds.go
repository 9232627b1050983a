package configsvc

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Bounds limit what a store keeps, so that no editor fills the disk.
// Documents are bounded by refusing those that have no room; versions by
// forgetting, those of the longest history first.
type Bounds struct {
	Dashboards    int           // That there are at one time.
	Documents     int64         // Bytes of their documents.
	Versions      int           // Of one dashboard.
	VersionsBytes int64         // Of one dashboard, compressed.
	AllVersions   int64         // Bytes of all versions, of deleted dashboards too.
	DeletedFor    time.Duration // How long the versions of a deleted dashboard are kept.
	Deleted       int           // Ids of deleted dashboards that are remembered.
}

// DefaultBounds are those of every store: the database takes two GB at most.
func DefaultBounds() Bounds {
	return Bounds{
		Dashboards: 10_000, Documents: 256 << 20, Versions: 1000, VersionsBytes: 8 << 20, AllVersions: 1 << 30,
		DeletedFor: 30 * 24 * time.Hour, Deleted: 100_000,
	}
}

// tokenShare is the part of Dashboards and Documents that one token may have, as 1/tokenShare.
const tokenShare = 2

// FullError is returned when there is no room for a document.
type FullError struct {
	What  string // "dashboards", or "bytes of documents".
	Limit int64
	Token string // The limit is that of this token; "" = that of the store.
}

func (e *FullError) Error() string {
	if e.Token != "" {
		return fmt.Sprintf("the dashboards that the token %q changed last are at the limit of %d %s for one token: delete some, or those of them that nobody needs", e.Token, e.Limit, e.What)
	}
	return fmt.Sprintf("the store is at its limit of %d %s: delete dashboards that nobody needs", e.Limit, e.What)
}

// room refuses a document of so many bytes that does not fit. A change that makes a
// dashboard smaller is always taken.
func (s *Store) room(ctx context.Context, tx *sql.Tx, id, by string, bytes int64) error {
	var count, sum, ownCount, ownSum, was int64
	err := tx.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(bytes), 0), count(CASE WHEN author = $1 THEN 1 END),
		coalesce(sum(CASE WHEN author = $1 THEN bytes END), 0), coalesce(sum(CASE WHEN id = $2 THEN bytes END), 0)
		FROM dashboards WHERE deleted_ms IS NULL`, by, id).Scan(&count, &sum, &ownCount, &ownSum, &was)
	if err != nil || was > 0 && bytes <= was {
		return err
	}
	b := s.bounds
	switch isNew := was == 0; {
	case isNew && count >= int64(b.Dashboards):
		return &FullError{What: "dashboards", Limit: int64(b.Dashboards)}
	case isNew && by != "" && ownCount >= int64(b.Dashboards/tokenShare):
		return &FullError{What: "dashboards", Limit: int64(b.Dashboards / tokenShare), Token: by}
	case sum-was+bytes > b.Documents:
		return &FullError{What: "bytes of documents", Limit: b.Documents}
	case by != "" && ownSum+bytes-was > b.Documents/tokenShare:
		return &FullError{What: "bytes of documents", Limit: b.Documents / tokenShare, Token: by}
	}
	return nil
}

// trim forgets the oldest versions of a dashboard: those beyond the number, and
// those beyond bytes. The newest always stays.
func (s *Store) trim(ctx context.Context, tx *sql.Tx, id string, bytes int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM dashboard_versions WHERE id = $1 AND version <= (
		SELECT coalesce(max(version), 0) FROM (
			SELECT version, sum(bytes) OVER (ORDER BY version DESC) AS total, row_number() OVER (ORDER BY version DESC) AS n
			FROM dashboard_versions WHERE id = $1) AS kept
		WHERE n > 1 AND (total > $2 OR n > $3))`, id, bytes, s.bounds.Versions)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE dashboards SET kept_bytes =
		(SELECT coalesce(sum(bytes), 0) FROM dashboard_versions v WHERE v.id = dashboards.id) WHERE id = $1`, id)
	return err
}

// trimAll keeps all versions together within their bound: those of dashboards
// that were deleted go first, the longest ago before others, then the older half
// of the longest history. So short histories lose nothing to long ones.
func (s *Store) trimAll(ctx context.Context, tx *sql.Tx) error {
	for {
		var total int64
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(sum(kept_bytes), 0) FROM dashboards WHERE kept_bytes > 0`).Scan(&total); err != nil || total <= s.bounds.AllVersions {
			return err
		}
		var id string
		var bytes int64
		var deleted sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT id, kept_bytes, deleted_ms FROM dashboards WHERE kept_bytes > 0
			ORDER BY deleted_ms IS NULL, deleted_ms, kept_bytes DESC, id LIMIT 1`).Scan(&id, &bytes, &deleted)
		if err != nil {
			return err
		}
		if deleted.Valid {
			err = forgetVersions(ctx, tx, `id = $1`, id)
		} else {
			err = s.trim(ctx, tx, id, bytes/2)
		}
		if err != nil {
			return err
		}
		var left int64
		if err := tx.QueryRowContext(ctx, `SELECT kept_bytes FROM dashboards WHERE id = $1`, id).Scan(&left); err != nil || left >= bytes {
			return err // One version each: documents have a bound of their own.
		}
	}
}

// forgetVersions forgets all versions of the dashboards that a condition chooses.
func forgetVersions(ctx context.Context, tx *sql.Tx, where string, args ...any) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM dashboard_versions WHERE id IN (SELECT id FROM dashboards WHERE `+where+`)`, args...); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE dashboards SET kept_bytes = 0 WHERE `+where, args...)
	return err
}

// Expire forgets the versions of dashboards that were deleted long ago, and the
// oldest ids of deleted ones when there are too many of them.
func (s *Store) Expire(ctx context.Context, now time.Time) error {
	err := s.change(ctx, func(tx *sql.Tx, _ int64) (c Changes, err error) {
		before := now.Add(-s.bounds.DeletedFor).UnixMilli()
		if err := forgetVersions(ctx, tx, `deleted_ms IS NOT NULL AND kept_bytes > 0 AND deleted_ms < $1`, before); err != nil {
			return c, err
		}
		const older = `deleted_ms IS NOT NULL AND id IN (SELECT id FROM dashboards WHERE deleted_ms IS NOT NULL ORDER BY deleted_ms DESC, id LIMIT %d OFFSET $1)`
		where := fmt.Sprintf(older, 10_000) // The rest the next time.
		if err := forgetVersions(ctx, tx, where, s.bounds.Deleted); err != nil {
			return c, err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM dashboards WHERE `+where, s.bounds.Deleted)
		return c, err
	})
	if err != nil {
		return fmt.Errorf("cannot forget the versions of deleted dashboards: %w", err)
	}
	return nil
}
