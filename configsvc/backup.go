package configsvc

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A backup is a gzip file of lines of JSON: a head, the dashboards, their
// versions, and an end with a checksum of all lines before it. It is the same of
// every database. Dashboards that programs keep for themselves are left out:
// they make them again.
//
//	{"pulseboard_backup":1,"made_at":"2026-11-28T20:00:00Z","revision":42}
//	{"dashboard":{"id":"…","version":3,"created_ms":…,"updated_ms":…,"document":{…}}}
//	{"version":{"id":"…","version":1,"action":"created","by":"ann","at_ms":…,"title":"Web","widget_count":2,"document":{…}}}
//	{"end":{"dashboards":1,"versions":3,"sha256":"…"}}
type backupLine struct {
	Format   int       `json:"pulseboard_backup,omitempty"`
	MadeAt   time.Time `json:"made_at,omitzero"`
	Revision int64     `json:"revision,omitempty"`

	Dashboard *backupDashboard `json:"dashboard,omitempty"`
	Version   *backupVersion   `json:"version,omitempty"`
	End       *backupEnd       `json:"end,omitempty"`
}

const backupFormat = 1

type backupDashboard struct {
	ID        string          `json:"id"`
	Version   int64           `json:"version"`
	CreatedMs int64           `json:"created_ms"`
	UpdatedMs int64           `json:"updated_ms"`
	DeletedMs *int64          `json:"deleted_ms,omitempty"`
	By        string          `json:"by,omitempty"` // Who changed it last.
	Document  json.RawMessage `json:"document"`
}

type backupVersion struct {
	ID           string          `json:"id"`
	Version      int64           `json:"version"`
	Action       string          `json:"action"`
	RestoredFrom *int64          `json:"restored_from,omitempty"`
	By           string          `json:"by"`
	AtMs         int64           `json:"at_ms"`
	Title        string          `json:"title"`
	Widgets      int             `json:"widget_count"`
	Document     json.RawMessage `json:"document,omitempty"` // A deletion has none.
}

type backupEnd struct {
	BackupCounts

	SHA256 string `json:"sha256"`
}

// BackupCounts is what a backup holds.
type BackupCounts struct {
	Dashboards int `json:"dashboards"` // Deleted ones included.
	Versions   int `json:"versions"`
}

// Backup writes all dashboards and versions as they were at one moment to a
// file, which is there whole or not at all.
func (s *Store) Backup(ctx context.Context, path string) (n BackupCounts, err error) {
	f, err := createPart(path)
	if err != nil {
		return n, err
	}
	defer f.Close() //nolint:errcheck // It is synced before it counts.
	if n, err = s.writeBackup(ctx, f); err != nil {
		_ = os.Remove(f.Name()) // Half of it is of no use.
		return n, fmt.Errorf("cannot write the backup %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return n, fmt.Errorf("cannot write the backup %s to the disk: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return n, fmt.Errorf("cannot put the backup in its place: %w", err)
	}
	return n, syncFolder(filepath.Dir(path))
}

// createPart makes the file that a backup is written to. What a killed one has
// left there is overwritten.
func createPart(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write the backup: %w; name another file with --out", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot write the backup: another process writes %s: %w", f.Name(), err)
	}
	if err := f.Truncate(0); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot write the backup: %w", err)
	}
	return f, nil
}

// backupWriter writes lines and adds them up.
type backupWriter struct {
	out *bufio.Writer
	sum hash.Hash
}

func (w *backupWriter) line(l backupLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	w.sum.Write(b)
	_, err = w.out.Write(b)
	return err
}

func (s *Store) writeBackup(ctx context.Context, to io.Writer) (n BackupCounts, err error) {
	// One moment: SQLite's readers have one anyway.
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.snapshot})
	if err != nil {
		return n, err
	}
	defer tx.Rollback() //nolint:errcheck // It was only read.
	z := gzip.NewWriter(to)
	w := &backupWriter{out: bufio.NewWriter(z), sum: sha256.New()}
	head := backupLine{Format: backupFormat, MadeAt: time.Now().UTC().Truncate(time.Millisecond)}
	if err := tx.QueryRowContext(ctx, `SELECT n FROM revision`).Scan(&head.Revision); err != nil {
		return n, err
	}
	if err := w.line(head); err != nil {
		return n, err
	}
	own, err := w.dashboards(ctx, tx, &n)
	if err != nil {
		return n, err
	}
	if err := w.versions(ctx, tx, s.packer, own, &n); err != nil {
		return n, err
	}
	if err := w.line(backupLine{End: &backupEnd{n, hex.EncodeToString(w.sum.Sum(nil))}}); err != nil {
		return n, err
	}
	return n, errors.Join(w.out.Flush(), z.Close())
}

// dashboards writes them and returns the ids of those that programs keep.
func (w *backupWriter) dashboards(ctx context.Context, tx *sql.Tx, n *BackupCounts) (own map[string]bool, err error) {
	own = make(map[string]bool)
	return own, each(ctx, tx, func(rows *sql.Rows) error {
		var b backupDashboard
		var tags string
		var document []byte
		if err := rows.Scan(&b.ID, &b.Version, &b.CreatedMs, &b.UpdatedMs, &b.DeletedMs, &b.By, &tags, &document); err != nil {
			return err
		}
		if ownTags(tags) {
			own[b.ID] = true
			return nil
		}
		b.Document = document
		n.Dashboards++
		return w.line(backupLine{Dashboard: &b})
	}, `SELECT id, version, created_ms, updated_ms, deleted_ms, author, tags, document FROM dashboards ORDER BY id`)
}

func (w *backupWriter) versions(ctx context.Context, tx *sql.Tx, p *packer, own map[string]bool, n *BackupCounts) error {
	return each(ctx, tx, func(rows *sql.Rows) error {
		var v backupVersion
		var document []byte
		err := rows.Scan(&v.ID, &v.Version, &v.Action, &v.RestoredFrom, &v.By, &v.AtMs, &v.Title, &v.Widgets, &document)
		if err != nil || own[v.ID] {
			return err
		}
		if document != nil {
			if v.Document, err = p.unpack(document); err != nil {
				return err
			}
		}
		n.Versions++
		return w.line(backupLine{Version: &v})
	}, `SELECT id, version, action, restored_from, author, at_ms, title, widgets, document FROM dashboard_versions ORDER BY id, version`)
}
