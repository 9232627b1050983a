package embedded

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"pulseboard/internal/clock"
)

// expiry finds records that are too old. The broker would judge single batches, by
// its clock alone: a clock that is an hour ahead for a second would empty the topic, and
// one batch that was stamped by a clock which was behind would take all before it
// along. Here the oldest are removed first, up to the first that is young enough, and
// none until this process has seen the clock run evenly for as long as records are
// kept: by then all records that remain have been stamped by an even clock.
type expiry struct {
	age   time.Duration
	log   *slog.Logger
	steps *clock.Steps
	since time.Time // When the clock was set last, or this began.
	at    map[int32]place
}

// place is where the oldest batch of a partition lies that is not known to be too old.
type place struct {
	base  int64 // Of its segment.
	bytes int64
	first int64 // Offset; 0 = not known yet.
}

func newExpiry(age time.Duration, log *slog.Logger) *expiry {
	now := time.Now()
	return &expiry{age: age, log: log, steps: clock.NewSteps(now), since: now, at: make(map[int32]place)}
}

// look returns the new first offsets of partitions that have something too old.
func (e *expiry) look(partitions map[int32][]segment, now time.Time) (first map[int32]int64, err error) {
	if by := e.steps.Look(now); by != 0 {
		e.since = now
		e.log.Warn("the clock was set: no record goes for its age until it has run evenly for as long as records are kept", "by", by, "age", e.age)
	}
	if now.Sub(e.since) < e.age {
		return nil, nil
	}
	oldest := now.Add(-e.age).UnixMilli()
	first = make(map[int32]int64)
	for p, files := range partitions {
		before := e.at[p]
		after, err := walk(files, before, oldest)
		if err != nil {
			return nil, err
		}
		e.at[p] = after
		if after.first > before.first {
			first[p] = after.first
		}
	}
	return first, nil
}

// walk moves a place on over batches that are too old.
func walk(files []segment, at place, oldest int64) (place, error) {
	for _, f := range files {
		if f.base < at.base {
			continue
		}
		if f.base > at.base {
			at.base, at.bytes = f.base, 0
		}
		young, err := walkFile(f, &at, oldest)
		if err != nil || young {
			return at, err
		}
	}
	return at, nil
}

// walkFile is walk in one segment; young is true when it has met one that is not too old,
// or is being written.
func walkFile(f segment, at *place, oldest int64) (young bool, err error) {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // It went meanwhile.
	}
	if err != nil {
		return false, err
	}
	defer file.Close() //nolint:errcheck // It was only read.
	head := make([]byte, batchHead)
	for at.bytes < f.size {
		if _, err := file.ReadAt(head, at.bytes); err != nil {
			if errors.Is(err, io.EOF) {
				return true, nil
			}
			return false, err
		}
		b, ok := readClaim(head)
		newest := int64(binary.BigEndian.Uint64(head[35:]))
		if !ok || newest >= oldest || at.bytes+int64(b.size) > f.size {
			return true, nil
		}
		at.bytes += int64(b.size)
		at.first = b.last + 1
	}
	return false, nil
}
