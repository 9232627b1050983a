package sources

import (
	"context"
	"sync/atomic"
	"time"

	"pulseboard/internal/clock"
)

// readAhead bounds what a reader holds of records that are fetched and not emitted, and counts what its partitions
// need for reading.
type readAhead struct {
	limit int64        // Bytes; 0 = none.
	bytes atomic.Int64 // Of fetched records.
	texts atomic.Int64 // Bytes that decoders remember.
	ids   atomic.Int64 // Bytes of ids of duplicates.
}

// share is the part of one partition.
type share struct {
	all       *readAhead
	responses atomic.Int64 // Queued, or being emitted.

	// What the fetching goroutine has counted last.
	texts, ids int64
}

// put counts a response that is queued, and what the partition needs for reading by now.
func (s *share) put(bytes, texts, ids int64) {
	s.responses.Add(1)
	s.all.bytes.Add(bytes)
	s.all.texts.Add(texts - s.texts)
	s.all.ids.Add(ids - s.ids)
	s.texts, s.ids = texts, ids
}

// take is called when a response of so many bytes has been emitted.
func (s *share) take(bytes int64) {
	s.responses.Add(-1)
	s.all.bytes.Add(-bytes)
}

// roomEvery is how often a fetcher that waits looks for room.
const roomEvery = 5 * time.Millisecond

// awaitRoom waits while the reader holds more than it may, of which texts have their part. It returns false when ctx has
// ended. A partition of which nothing is held may always fetch: the others may wait for it, and then free nothing.
func (s *share) awaitRoom(ctx context.Context) bool {
	limit := s.all.limit - s.all.limit/textsShare
	for limit > 0 && s.responses.Load() > 0 && s.all.bytes.Load() > limit {
		if !clock.Sleep(ctx, roomEvery) {
			return false
		}
	}
	return true
}
