package sources

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"pulseboard/internal/clock"
	"pulseboard/wire"
)

// fetcher reads one partition in the background into a queue that bounds how far it is ahead.
type fetcher struct {
	options *Options
	scanner *scanner
	idle    idleness
	known   *recall // nil: nothing is left out.
	share   *share
	lag     *lag
	queue   chan<- response
	arrived chan<- struct{} // Gets a token when something was queued.
}

// The pause after a failed fetch doubles from the shortest to the longest.
const (
	shortestPause = 20 * time.Millisecond
	longestPause  = time.Second
)

// run fetches until ctx ends. It never gives up: a partition that cannot be reached holds the
// watermark, so that no window is published without it.
func (f *fetcher) run(ctx context.Context) {
	defer f.lag.openSince.Store(notRead)
	s := f.scanner
	f.known = remember(ctx, s, f.options, s.offset)
	pause := shortestPause
	deliver := func(a *response) bool { return f.deliver(ctx, a) }
	for ctx.Err() == nil && f.share.awaitRoom(ctx) {
		sent := time.Now().Round(0)
		err := s.read(ctx, sent, f.idle.maxWait(sent), deliver)
		if err == nil {
			pause = shortestPause
			continue
		}
		if ctx.Err() != nil {
			return
		}
		f.idle.doubt()
		readErrors.WithLabelValues("fetch").Inc()
		s.say.Warn("cannot fetch; trying again", "offset", s.offset, "error", err)
		s.log.forgetLeaders()
		if errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID) {
			s.findAgain(ctx)
		}
		clock.Sleep(ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

// deliver queues a response. It returns false when ctx has ended.
func (f *fetcher) deliver(ctx context.Context, a *response) bool {
	if a.lost > 0 {
		lostRecords.Add(float64(a.lost))
		f.scanner.say.Error("records are missing in the partition: damaged, or compacted away", "before", a.next, "records", a.lost)
	}
	f.idle.judge(ctx, a)
	ids := int64(0)
	if f.known != nil {
		f.known.leaveOut(a.records) // Only now: what an error made the scanner read again is no duplicate.
		ids = f.known.size()
	}
	f.lag.openSince.Store(f.scanner.transactions.openSince())
	f.share.put(a.bytes, ids)
	select {
	case f.queue <- *a:
	case <-ctx.Done():
		return false
	}
	select {
	case f.arrived <- struct{}{}:
	default: // The read loop has a token.
	}
	return true
}

// readAhead bounds what a reader holds of records that are fetched and not emitted, and counts what its partitions
// need for reading.
type readAhead struct {
	limit int64        // Bytes; 0 = none.
	bytes atomic.Int64 // Of fetched records.
	texts *wire.Room   // For what decoders remember.
	ids   atomic.Int64 // Bytes of ids of duplicates.
}

// share is the part of one partition.
type share struct {
	all       *readAhead
	responses atomic.Int64 // Queued, or being emitted.

	ids int64 // What the fetching goroutine has counted last.
}

// put counts a response that is queued, and what the partition needs for reading by now.
func (s *share) put(bytes, ids int64) {
	s.responses.Add(1)
	s.all.bytes.Add(bytes)
	s.all.ids.Add(ids - s.ids)
	s.ids = ids
}

// take is called when a response of so many bytes has been emitted.
func (s *share) take(bytes int64) {
	s.responses.Add(-1)
	s.all.bytes.Add(-bytes)
}

// mostAhead is as much as there need be of records that are fetched and not emitted: a few MiB of each partition.
const mostAhead = 64 << 20

// roomEvery is how often a fetcher that waits looks for room.
const roomEvery = 5 * time.Millisecond

// awaitRoom waits while the reader holds more than it may, of which texts have their part. It returns false when ctx has
// ended. A partition of which nothing is held may always fetch: the others may wait for it, and then free nothing.
func (s *share) awaitRoom(ctx context.Context) bool {
	limit := min(s.all.limit-s.all.limit/textsShare, mostAhead)
	for limit > 0 && s.responses.Load() > 0 && s.all.bytes.Load() > limit {
		if !clock.Sleep(ctx, roomEvery) {
			return false
		}
	}
	return true
}
