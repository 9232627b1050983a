package results

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"pulseboard/wire"
)

// Publication is a result on its way to Redis. Result.Due names the histories
// that it belongs to. Without Announce it goes into them only: a window end
// that was filled in later.
type Publication struct {
	Result   *wire.Result
	Announce bool
}

// Outcome counts what became of the history entries and messages of a Publish.
type Outcome struct {
	Accepted    int // Entries written.
	Refused     int // Entries whose window end the history holds already, or a newer one.
	TooFarAhead int // Results whose window end is beyond Redis' own clock.
	Published   int // Messages.
}

// WriteError says what Publish could not write.
type WriteError struct {
	Keys map[string]bool // Metric keys with an entry that is not there, or may not be. None when only messages were lost.
	Full bool            // Redis refuses because its memory is full. Else it does not answer, or not as it should.
	Err  error           // The first fault.
}

func (e *WriteError) Error() string { return e.Err.Error() }
func (e *WriteError) Unwrap() error { return e.Err }

// miss takes note of a key that lacks an entry.
func (e *WriteError) miss(key string, err error) {
	if e.Keys == nil {
		e.Keys = make(map[string]bool)
	}
	e.Keys[key] = true
	full := isFull(err)
	if e.Err == nil {
		e.Full = full
		e.Err = fmt.Errorf("cannot write the history of %q: %w", key, err)
	}
	e.Full = e.Full && full
}

// Publish limits.
const (
	chunk   = 500  // Commands in one pipeline.
	maxSkew = 5000 // How far a window end may be ahead of Redis' clock, ms: a clock that ran ahead must not block the keys behind it.
)

// Publish writes results, of one key in the given order. The explicit id of an
// entry, its window end, makes Redis itself refuse what is repeated or goes
// back, so that publishing again is harmless; and only what was accepted is
// announced, so that a reader sees each end once. After an entry that was not
// written none of its key follows, so that a history has no gap. The error is a
// *WriteError; one that is ErrWentBack says that nothing may be written before the
// histories were compared, see Doubt.
func (s *Store) Publish(ctx context.Context, pubs []Publication) (Outcome, error) {
	var out Outcome
	var fault WriteError
	writes := s.writes.Load()
	// One connection for all of it: what is asked first is true of the server that gets the rest.
	conn := s.client.Conn()
	defer conn.Close() //nolint:errcheck // It goes back to the others.
	now, err := s.begin(ctx, conn, writes)
	if err != nil {
		for _, p := range pubs {
			fault.miss(p.Result.Key, err)
		}
		fault.Err = fmt.Errorf("cannot publish results: %w", err)
		return out, &fault
	}
	latest := now.UnixMilli() + maxSkew
	for some := range slices.Chunk(pubs, chunk) {
		s.publishChunk(ctx, conn, writes, some, latest, &out, &fault)
	}
	if s.writes.Load() != writes && fault.Err == nil {
		// Doubt was called meanwhile, and another server may answer now.
		for _, p := range pubs {
			fault.miss(p.Result.Key, ErrWentBack)
		}
	}
	if fault.Err != nil {
		return out, &fault
	}
	return out, nil
}

// entry is one XADD under way.
type entry struct {
	cmd   *redis.StringCmd
	owner int
}

func (s *Store) publishChunk(ctx context.Context, conn *redis.Conn, writes *writes, pubs []Publication, latest int64, out *Outcome, fault *WriteError) {
	texts := make([][]byte, len(pubs))
	entries := make([]entry, 0, len(pubs))
	add := conn.Pipeline()
	if repeats(pubs) {
		// All or nothing: in between Redis might have room for the second of two entries, and not for the first.
		add = conn.TxPipeline()
	}
	for i, p := range pubs {
		switch {
		case fault.Keys[p.Result.Key]:
			continue
		case fault.Err != nil && !fault.Full:
			fault.miss(p.Result.Key, fault.Err) // It would be waited for in vain.
			continue
		case p.Result.WindowEnd > latest:
			out.TooFarAhead++
			continue
		}
		text := p.Result.Encode()
		texts[i] = text
		id := wire.HistoryID(p.Result.WindowEnd)
		for _, refresh := range p.Result.Due {
			stream := s.historyKey(p.Result.Key, refresh)
			cmd := add.XAdd(ctx, &redis.XAddArgs{Stream: stream, ID: id, MaxLen: wire.HistoryLength, Approx: true, Values: []any{wire.HistoryField, text}})
			add.PExpire(ctx, stream, wire.HistoryExpiry(refresh))
			entries = append(entries, entry{cmd, i})
		}
	}
	if len(entries) == 0 {
		return
	}
	count := writes.end(ctx, add)
	// The error of Exec is that of the first command that failed; each is looked at below.
	_, _ = add.Exec(ctx)
	if count.Err() == nil {
		writes.acked.Add(1)
	}
	accepted := make([]bool, len(pubs))
	for _, e := range entries {
		switch err := e.cmd.Err(); {
		case err == nil:
			accepted[e.owner] = true
			out.Accepted++
		case isRefusal(err):
			out.Refused++
		default:
			fault.miss(pubs[e.owner].Result.Key, err)
		}
	}
	announce := conn.Pipeline()
	for i, p := range pubs {
		if accepted[i] && p.Announce {
			announce.Publish(ctx, s.client.Channel(p.Result.Key), texts[i])
		}
	}
	n := announce.Len()
	if n == 0 {
		return
	}
	if _, err := announce.Exec(ctx); err != nil {
		if fault.Err == nil {
			fault.Err = fmt.Errorf("cannot announce results: %w", err)
		}
		fault.Full = false
		return
	}
	out.Published += n
}

// repeats reports whether a key gets more than one entry.
func repeats(pubs []Publication) bool {
	seen := make(map[string]bool, len(pubs))
	for _, p := range pubs {
		if seen[p.Result.Key] || len(p.Result.Due) > 1 {
			return true
		}
		seen[p.Result.Key] = true
	}
	return false
}

// isRefusal reports whether Redis turned an entry down because of its id.
// Redis and miniredis both speak of the "top item" of the stream.
func isRefusal(err error) bool {
	_, fromServer := errors.AsType[redis.Error](err)
	return fromServer && strings.Contains(err.Error(), "equal or smaller than the target stream top item")
}

// isFull reports whether Redis has no memory left. Of a transaction it answers the
// single command so, and of the whole only that there was an error before.
func isFull(err error) bool {
	_, fromServer := errors.AsType[redis.Error](err)
	return fromServer && (strings.Contains(err.Error(), "OOM ") || strings.HasPrefix(err.Error(), "EXECABORT"))
}
