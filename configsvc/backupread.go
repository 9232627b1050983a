package configsvc

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// errBackupEnd is what a reader of a backup returns after its last line.
var errBackupEnd = errors.New("end of the backup")

// maxBackupLine is well above what a version with the largest document takes.
const maxBackupLine = 8 << 20

// backupReader reads a backup and checks it.
type backupReader struct {
	file  *os.File
	in    *bufio.Reader
	sum   hash.Hash
	line  int
	count BackupCounts
	head  backupLine
}

// openBackup reads the head of a backup, whose file the caller closes.
func openBackup(path string) (*backupReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the backup: %w", err)
	}
	r := &backupReader{file: f, sum: sha256.New()}
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err == nil {
		r.in = bufio.NewReaderSize(z, 64<<10)
		err = r.readHead()
	}
	if err != nil {
		_ = f.Close() // It was only read.
		return nil, fmt.Errorf("cannot restore %s: %w", path, backupFault(err))
	}
	return r, nil
}

// backupFault turns errors of gzip into what they mean for a backup.
func backupFault(err error) error {
	switch {
	case errors.Is(err, gzip.ErrHeader):
		return errors.New("it is no backup: pulseboard backup makes one")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends too early: take another backup")
	case errors.Is(err, gzip.ErrChecksum):
		return errors.New("it is damaged (its checksum is wrong): take another backup")
	}
	return err
}

func (r *backupReader) readHead() (err error) {
	r.head, err = r.read()
	switch n := r.head.Format; {
	case err != nil:
		return err
	case n == 0:
		return errors.New("it is no backup: pulseboard backup makes one")
	case n > backupFormat:
		return fmt.Errorf("it was made by a later Pulseboard (format %d, this one reads %d): restore it with that one", n, backupFormat)
	}
	return nil
}

// next returns the next dashboard or version; errBackupEnd once all of it was
// read and is what was written.
func (r *backupReader) next() (l backupLine, err error) {
	before := hex.EncodeToString(r.sum.Sum(nil))
	l, err = r.read()
	if err != nil {
		return l, backupFault(err)
	}
	switch {
	case l.End != nil:
		if l.End.SHA256 != before || l.End.BackupCounts != r.count {
			return l, errors.New("it is damaged (its checksum is wrong): take another backup")
		}
		// The end of the file too: gzip has a checksum of its own there.
		if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
			return l, errors.New("it is damaged (something follows its end): take another backup")
		}
		return l, errBackupEnd
	case l.Dashboard != nil:
		r.count.Dashboards++
		return l, l.Dashboard.check(r.line)
	case l.Version != nil:
		r.count.Versions++
		return l, l.Version.check(r.line)
	}
	return l, fmt.Errorf("line %d is neither a dashboard nor a version: take another backup", r.line)
}

func (r *backupReader) read() (l backupLine, err error) {
	r.line++
	var b []byte
	for {
		part, err := r.in.ReadSlice('\n')
		b = append(b, part...)
		if err == nil {
			break
		}
		if len(b) > maxBackupLine {
			return l, fmt.Errorf("line %d is longer than %d bytes: take another backup", r.line, maxBackupLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l, err
		}
	}
	r.sum.Write(b)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return l, fmt.Errorf("line %d is not what pulseboard backup writes: %w", r.line, err)
	}
	return l, nil
}

func (b *backupDashboard) check(line int) error {
	if id, ok := parseID(b.ID); !ok || id != b.ID || b.Version < 1 {
		return fmt.Errorf("line %d has no dashboard that this Pulseboard could keep", line)
	}
	_, err := decodeDocument(b.ID, b.Version, b.Document)
	return err
}

func (v *backupVersion) check(line int) error {
	if id, ok := parseID(v.ID); !ok || id != v.ID || v.Version < 1 {
		return fmt.Errorf("line %d has no version that this Pulseboard could keep", line)
	}
	switch v.Action {
	case actionCreated, actionChanged, actionRestored, actionDeleted:
	default:
		return fmt.Errorf("line %d has the action %.40q, which this Pulseboard does not know", line, v.Action)
	}
	if v.Document == nil {
		return nil
	}
	_, err := decodeDocument(v.ID, v.Version, v.Document)
	return err
}
