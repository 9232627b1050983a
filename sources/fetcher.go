package sources

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"pulseboard/internal/clock"
)

// fetcher reads one partition in the background into a queue that bounds how far it is ahead.
type fetcher struct {
	options *Options
	scanner *scanner
	idle    idleness
	seen    *seenIDs // nil: duplicates are not looked for.
	share   *share
	lag     *lag
	queue   chan<- response
	arrived chan<- struct{} // Gets a token when something was queued.
}

// newFetcher returns a fetcher of a log from an offset on. The caller sets where its responses go.
func newFetcher(o *Options, log partitionLog, at Offset, say *slog.Logger, setBack func(error, time.Time)) *fetcher {
	return &fetcher{options: o, scanner: newScanner(log, o, at, say, setBack), idle: newIdleness(o, log)}
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
	if f.options.DedupeMs > 0 {
		f.seen = remember(ctx, s.log, f.options, s.offset, s.say)
	}
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
	if f.seen != nil {
		f.seen.dropDuplicates(a.records) // Only now: what an error made the scanner read again is no duplicate.
		ids = f.seen.size()
	}
	f.lag.openSince.Store(f.scanner.transactions.openSince())
	f.share.put(a.bytes, f.scanner.decoder.Remembered(), ids)
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
