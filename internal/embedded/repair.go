package embedded

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// repair makes the broker's folder whole before the broker opens it, which would
// cut a partition's segment at the first batch that it cannot read, and lose all
// that follows. Damaged bytes go to a file of their own, the batches after them
// stay, with their offsets: readers find a gap, which Kafka allows.
//
//	dir/meta.json, topics.json, …, partitions/<topic>-<n>/<first offset>.dat: batches as they are sent, one after the other
func repair(dir, cluster string, partitions map[string]int, log *slog.Logger) (all damage, err error) {
	segments, err := findSegments(dir)
	if err != nil {
		return all, err
	}
	if err := repairState(dir, cluster, partitions, log); err != nil {
		return all, err
	}
	for partition, segments := range segments {
		for i, s := range segments {
			end := int64(-1)
			if i+1 < len(segments) {
				end = segments[i+1].base
			}
			d, next, err := repairSegment(s, end)
			if err != nil {
				return all, fmt.Errorf("cannot mend %s: %w", s.path, err)
			}
			if end < 0 {
				if d.records, err = checkEnd(partition, next, d.records); err != nil {
					return all, err
				}
			}
			if d != (damage{}) {
				log.Error("a file of the embedded Kafka was damaged: what can be read stays, the rest is set aside",
					"file", s.path, "bytes", d.bytes, "records_lost", d.records, "set_aside", s.path+damagedSuffix)
			}
			all.bytes += d.bytes
			all.records += d.records
		}
	}
	return all, forgetDamaged(dir, time.Now())
}

// findSegments returns the segments of each partition's folder, in their order.
func findSegments(dir string) (map[string][]segment, error) {
	found := make(map[string][]segment)
	folders, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		partition := filepath.Join(dir, "partitions", f.Name())
		if found[partition], err = segmentsOf(partition); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func segmentsOf(partition string) ([]segment, error) {
	files, err := os.ReadDir(partition)
	if err != nil {
		return nil, err
	}
	var found []segment
	for _, f := range files {
		number, ours := strings.CutSuffix(f.Name(), segmentSuffix)
		base, err := strconv.ParseInt(number, 10, 64)
		if !ours || err != nil {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // It went meanwhile.
		}
		if err != nil {
			return nil, err
		}
		found = append(found, segment{filepath.Join(partition, f.Name()), base, info.Size()})
	}
	slices.SortFunc(found, func(a, b segment) int { return cmp.Compare(a.base, b.base) })
	return found, nil
}

// checkEnd compares the end of a partition with the snapshot that the broker wrote when
// it was last closed, and returns how many records are lost. A snapshot beyond the end
// is removed, or the loss would be reported at every start.
func checkEnd(partition string, next, lost int64) (int64, error) {
	const name = "snapshot.json"
	var note struct {
		HighWatermark int64 `json:"high_watermark"`
	}
	content, err := os.ReadFile(filepath.Join(partition, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("cannot read what a partition held: %w", err)
	}
	if json.Unmarshal(content, &note) != nil || note.HighWatermark <= next {
		return lost, nil //nolint:nilerr // A note that is malformed is as good as none: the broker does without it.
	}
	return max(lost, note.HighWatermark-next), os.Remove(filepath.Join(partition, name))
}

// forgetDamaged deletes what was set aside long ago.
func forgetDamaged(dir string, now time.Time) error {
	const age = 7 * 24 * time.Hour
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, damagedSuffix) {
			return err
		}
		info, err := e.Info()
		if err != nil || now.Sub(info.ModTime()) < age {
			return err
		}
		return os.Remove(path)
	})
}

// damage is what was lost.
type damage struct{ bytes, records int64 }

// segment is a file of batches, one after the other.
type segment struct {
	path string
	base int64 // The offset of its first record.
	size int64 // Bytes.
}

const (
	segmentSuffix = ".dat"
	indexSuffix   = ".idx"
	damagedSuffix = ".damaged"
)

// repairSegment leaves whole batches only; next is the offset after the last. end
// is where the next segment begins, -1 when there is none.
func repairSegment(s segment, end int64) (d damage, next int64, err error) {
	content, err := os.ReadFile(s.path)
	if err != nil {
		return d, s.base, err
	}
	whole, damaged, d, next := sift(content, s.base, end)
	if whole == nil {
		return d, next, nil
	}
	if len(damaged) > 0 {
		if err := os.WriteFile(s.path+damagedSuffix, damaged, 0o600); err != nil {
			return d, next, fmt.Errorf("cannot set damaged bytes aside: %w", err)
		}
	}
	// The index has an entry for each batch, by its place; the broker does without.
	if err := os.Remove(strings.TrimSuffix(s.path, segmentSuffix) + indexSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d, next, err
	}
	if len(whole) == 0 {
		return d, next, os.Remove(s.path)
	}
	return d, next, replace(s.path, whole)
}

// replace writes a file so that a kill in the middle leaves the old one.
func replace(path string, content []byte) error {
	if err := os.WriteFile(path+".tmp", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// sift separates the whole batches of a segment from damaged bytes;
// whole is nil when nothing is to be changed. next is the offset after the last
// batch. Of the records that are gone it counts those whose offsets are missing
// where bytes are damaged; at the end of a partition, those of which a head is left.
func sift(content []byte, base, end int64) (whole, damaged []byte, d damage, next int64) {
	next = base  // The offset that is due.
	from := 0    // Where whole bytes begin that were not copied yet.
	bad := false // Damage lies before this place.
	for at := 0; at < len(content); {
		if b, ok := readBatch(content[at:], next, end); ok {
			if bad {
				d.records += b.first - next
			}
			bad = false
			next = b.last + 1
			at += b.size
			continue
		}
		if whole == nil {
			whole = make([]byte, 0, len(content))
		}
		whole = append(whole, content[from:at]...)
		if b, ok := misplaced(content[at:], next, end); ok {
			from = at + 8
			whole = binary.BigEndian.AppendUint64(whole, uint64(next))
			next += b.last - b.first + 1
			at += b.size
			d.bytes += 8
			bad = false
			continue
		}
		begin := at
		for at++; at < len(content); at++ {
			if _, ok := readBatch(content[at:], next, end); ok {
				break
			}
		}
		damaged = append(damaged, content[begin:at]...)
		d.bytes += int64(at - begin)
		if at == len(content) && end < 0 {
			d.records += claimed(content[begin:], next)
		}
		from, bad = at, true
	}
	if bad && end >= 0 {
		d.records += end - next
	}
	if whole != nil {
		whole = append(whole, content[from:]...)
	}
	return whole, damaged, d, next
}

// batch is a record batch of Kafka's format 2, as far as repair looks at it.
type batch struct {
	first, last int64 // Offsets.
	size        int   // Bytes.
}

// The places in a batch: first offset 0, length 8, magic 16, checksum 17, last
// offset delta 23, number of records 57. The checksum is of all that follows it.
const (
	batchHead = 61
	maxBatch  = 1 << 30 // As the broker has it.
	maxGap    = 1 << 24 // Records: more than a segment holds.
)

// readBatch reads the batch that content begins with, if it is whole and lies
// where it may: from offset next on, and before end. Its offset is not in the
// checksum: one beyond the next must leave room for what follows.
func readBatch(content []byte, next, end int64) (batch, bool) {
	b, ok := readHead(content)
	switch {
	case !ok || b.first < next || end >= 0 && b.last >= end:
		return b, false
	case b.first == next:
		return b, true
	}
	after, ok := readHead(content[b.size:])
	if !ok {
		return b, b.first-next < maxGap
	}
	return b, after.first > b.last && after.first-next < maxGap
}

// misplaced reads a batch that is whole but for its offset, which must be the next.
func misplaced(content []byte, next, end int64) (batch, bool) {
	b, ok := readHead(content)
	if !ok {
		return b, false
	}
	follows := next + b.last - b.first + 1
	if after, ok := readHead(content[b.size:]); ok {
		return b, after.first == follows
	}
	return b, len(content) == b.size && (end < 0 || end == follows)
}

// readHead reads a batch that is whole, at any offset.
func readHead(content []byte) (b batch, ok bool) {
	if b, ok = readClaim(content); !ok || b.size > len(content) {
		return b, false
	}
	return b, crc32.Checksum(content[21:b.size], castagnoli) == binary.BigEndian.Uint32(content[17:])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // A constant that Go cannot compute.

// readClaim reads the head of a batch without its checksum.
func readClaim(content []byte) (b batch, ok bool) {
	if len(content) < batchHead || content[16] != 2 {
		return b, false
	}
	length := binary.BigEndian.Uint32(content[8:])
	if length > maxBatch {
		return b, false
	}
	b.size = 12 + int(length)
	b.first = int64(binary.BigEndian.Uint64(content))
	b.last = b.first + int64(int32(binary.BigEndian.Uint32(content[23:])))
	return b, b.size >= batchHead && b.last >= b.first
}

// claimed counts the records of the batch that damaged bytes begin with, by its head.
func claimed(content []byte, next int64) int64 {
	if b, ok := readClaim(content); ok && b.first == next && b.last-b.first < maxGap {
		return b.last - b.first + 1
	}
	return 0
}
