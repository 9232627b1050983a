package configsvc

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// commitMark is a small file beside a SQLite database that holds the last
// revision that was committed. SQLite takes a damaged record of its write-ahead log for
// the torn end of a commit that was never acknowledged, and drops all that follows
// without an error: the loss shows only by a record outside the database.
//
// A revision is written here, and synced, after SQLite has synced its commit and
// before the commit is acknowledged. So the mark is never ahead of the database,
// whatever is killed or loses power at whatever moment, unless the database lost
// what was acknowledged.
type commitMark struct{ path string }

const commitMarkSuffix = "-committed"

func newCommitMark(database string) *commitMark { return &commitMark{database + commitMarkSuffix} }

// committed is the content of the mark, zero when there is none.
type committed struct {
	revision int64
	at       time.Time
}

// The file has two places, written by turns: a write that is torn by a loss of
// power spoils the older one.
const (
	markPlace  = 128
	markPlaces = 2
	markFormat = "pulseboard: revision %d was committed at %s"
)

// read returns the content of the mark.
func (m *commitMark) read() (c committed, err error) {
	f, err := os.Open(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("cannot read the mark of the last commit: %w", err)
	}
	defer f.Close() //nolint:errcheck // It was only read.
	if err := lockMark(f, syscall.LOCK_SH); err != nil {
		return c, err
	}
	c, _, err = readMark(f)
	return c, err
}

// raise writes a revision that was committed, unless a later one stands there.
func (m *commitMark) raise(revision int64, at time.Time) error {
	f, err := os.OpenFile(m.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write the mark of the last commit: %w", err)
	}
	defer f.Close() //nolint:errcheck // It is synced.
	// Other processes may write to the same database.
	if err := lockMark(f, syscall.LOCK_EX); err != nil {
		return err
	}
	newest, place, err := readMark(f)
	if err != nil || newest.revision >= revision {
		return err
	}
	if _, err := f.WriteAt(encodeMark(committed{revision, at}), int64(place*markPlace)); err != nil {
		return fmt.Errorf("cannot write the mark of the last commit: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("cannot write the mark of the last commit to the disk: %w", err)
	}
	if newest == (committed{}) {
		return syncFolder(filepath.Dir(m.path)) // It may be new.
	}
	return nil
}

// lockMark holds the file until it is closed.
func lockMark(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot lock %s: %w", f.Name(), err)
		}
		return nil
	}
}

// readMark returns the newest mark and the place that the next one goes to. A
// place that cannot be read holds nothing: it was torn, or never written.
func readMark(f *os.File) (newest committed, next int, err error) {
	b := make([]byte, markPlace*markPlaces)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return newest, 0, fmt.Errorf("cannot read the mark of the last commit: %w", err)
	}
	b = b[:n]
	for place := range markPlaces {
		if len(b) < (place+1)*markPlace {
			break
		}
		c, ok := decodeMark(b[place*markPlace : (place+1)*markPlace])
		if ok && c.revision > newest.revision {
			newest, next = c, (place+1)%markPlaces
		}
	}
	return newest, next, nil
}

func encodeMark(c committed) []byte {
	text := fmt.Sprintf(markFormat, c.revision, c.at.UTC().Format(time.RFC3339))
	text = fmt.Sprintf("%s %08x", text, crc32.ChecksumIEEE([]byte(text)))
	return []byte(text + strings.Repeat(" ", markPlace-1-len(text)) + "\n")
}

func decodeMark(b []byte) (c committed, ok bool) {
	text := strings.TrimRight(string(b), " \n")
	cut := strings.LastIndexByte(text, ' ')
	if cut < 0 {
		return c, false
	}
	sum, err := strconv.ParseUint(text[cut+1:], 16, 32)
	if err != nil || uint32(sum) != crc32.ChecksumIEEE([]byte(text[:cut])) {
		return c, false
	}
	var at string
	if _, err := fmt.Sscanf(text[:cut], markFormat, &c.revision, &at); err != nil {
		return c, false
	}
	c.at, err = time.Parse(time.RFC3339, at)
	return c, err == nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot sync the folder %s: %w", dir, err)
	}
	defer d.Close() //nolint:errcheck // It was only read.
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot sync the folder %s: %w", dir, err)
	}
	return nil
}
