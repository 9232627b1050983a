package results

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"pulseboard/metric"
)

// Publication is a result on its way to Redis. Result.Due names the histories
// that it belongs to. Without Announce it goes into them only: a window end
// that was filled in later.
type Publication struct {
	Result   *metric.Result
	Announce bool
}

// Outcome counts what became of the history entries and messages of a Publish.
type Outcome struct {
	Accepted    int // Entries written.
	Refused     int // Entries whose window end the history holds already, or a newer one.
	TooFarAhead int // Results whose window end is beyond Redis' own clock.
	Published   int // Messages.
}

// Publish limits.
const (
	chunk   = 500  // Commands in one pipeline.
	maxSkew = 5000 // How far a window end may be ahead of Redis' clock, ms: a clock that ran ahead must not block the keys behind it.
)

// Publish writes results, of one key in the given order. The explicit id of an
// entry, its window end, makes Redis itself refuse what is repeated or goes
// back, so that publishing again is harmless; and only what was accepted is
// announced, so that a reader sees each end once.
func (s *Store) Publish(ctx context.Context, pubs []Publication) (out Outcome, err error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return out, fmt.Errorf("cannot publish results: %w", err)
	}
	latest := now.UnixMilli() + maxSkew
	for len(pubs) > 0 && err == nil {
		n := min(len(pubs), chunk)
		err = s.publishChunk(ctx, pubs[:n], latest, &out)
		pubs = pubs[n:]
	}
	return out, err
}

// entry is one XADD under way.
type entry struct {
	cmd   *redis.StringCmd
	owner int
}

func (s *Store) publishChunk(ctx context.Context, pubs []Publication, latest int64, out *Outcome) error {
	texts := make([][]byte, len(pubs))
	entries := make([]entry, 0, len(pubs))
	add := s.client.Pipeline()
	for i, p := range pubs {
		if p.Result.WindowEnd > latest {
			out.TooFarAhead++
			continue
		}
		text, err := p.Result.Encode()
		if err != nil {
			return fmt.Errorf("cannot encode the result of %q: %w", p.Result.Key, err)
		}
		texts[i] = text
		id := strconv.FormatInt(p.Result.WindowEnd, 10) + "-0"
		for _, refresh := range p.Result.Due {
			stream := historyKey(p.Result.Key, refresh)
			cmd := add.XAdd(ctx, &redis.XAddArgs{Stream: stream, ID: id, MaxLen: HistoryLength, Approx: true, Values: []any{"r", text}})
			add.PExpire(ctx, stream, expiry(refresh))
			entries = append(entries, entry{cmd, i})
		}
	}
	if len(entries) == 0 {
		return nil
	}
	// The error of Exec is that of the first command that failed; each is looked at below.
	_, _ = add.Exec(ctx)
	accepted := make([]bool, len(pubs))
	var fault error // The first. The other entries were written and must be announced all the same.
	for _, e := range entries {
		switch err := e.cmd.Err(); {
		case err == nil:
			accepted[e.owner] = true
			out.Accepted++
		case isRefusal(err):
			out.Refused++
		case fault == nil:
			fault = fmt.Errorf("cannot write the history of %q: %w", pubs[e.owner].Result.Key, err)
		}
	}
	announce := s.client.Pipeline()
	for i, p := range pubs {
		if accepted[i] && p.Announce {
			announce.Publish(ctx, p.Result.Key, texts[i])
		}
	}
	n := announce.Len()
	if n == 0 {
		return fault
	}
	if _, err := announce.Exec(ctx); err != nil {
		return fmt.Errorf("cannot announce results: %w", err)
	}
	out.Published += n
	return fault
}

// isRefusal reports whether Redis turned an entry down because of its id.
// Redis and miniredis both speak of the "top item" of the stream.
func isRefusal(err error) bool {
	_, fromServer := errors.AsType[redis.Error](err)
	return fromServer && strings.Contains(err.Error(), "equal or smaller than the target stream top item")
}
