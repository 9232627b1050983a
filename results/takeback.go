package results

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/wire"
)

// Now is the time of Redis' clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return now, fmt.Errorf("cannot ask Redis for its time: %w", err)
	}
	return now, nil
}

// MaxAhead is how far a window end may be ahead of the clocks: what lies further ahead was
// published by a clock that was wrong.
const MaxAhead = maxSkew * time.Millisecond

// TakeBack removes the results of a history whose window ends after a time, and returns
// how many those were. Redis takes no end that is older than one that was there, so what
// stays is written anew, in one transaction.
func (s *Store) TakeBack(ctx context.Context, st Stream, after time.Time) (taken int, err error) {
	name, limit := s.historyKey(st.Key, st.RefreshMs), strconv.FormatInt(after.UnixMilli(), 10)
	err = s.client.Watch(ctx, func(tx *redis.Tx) error {
		entries, err := tx.XRange(ctx, name, "-", "+").Result()
		if err != nil {
			return err
		}
		keep := entries
		if i := slices.IndexFunc(entries, func(e redis.XMessage) bool { return endOf(e) > after.UnixMilli() }); i >= 0 {
			keep = entries[:i]
		}
		if taken = len(entries) - len(keep); taken == 0 {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Unlink(ctx, name)
			for _, e := range keep {
				p.XAdd(ctx, &redis.XAddArgs{Stream: name, ID: e.ID, Values: e.Values})
			}
			if len(keep) > 0 {
				p.PExpire(ctx, name, wire.HistoryExpiry(st.RefreshMs))
			}
			return nil
		})
		return err
	}, name)
	if err != nil {
		return 0, fmt.Errorf("cannot take back what the history of %q has of the time after %s: %w", st.Key, limit, err)
	}
	return taken, nil
}

// Step is what is known of a clock that was set.
type Step struct {
	Since int64 `json:"since"` // Results of windows that end after that may be those of a clock that is ahead, epoch ms.
	Back  bool  `json:"back"`  // They are: it was set back since.
	Noted int64 `json:"noted"` // The time by the clocks when this was noted, epoch ms: if they say less later, it was set back.
}

// suspicion is how long a step forward counts as one that may have been wrong.
const suspicion = time.Hour

func (s *Store) stepKey() string { return s.client.Key("pipeline:step") }

// NoteStep adds what is known of a step to what is known of those before it: of a clock that was set
// forward and then back, everything since the first is in doubt. One pipeline calls it at a time.
func (s *Store) NoteStep(ctx context.Context, step Step) error {
	had, err := s.LastStep(ctx)
	if err != nil {
		return err
	}
	if had.Since < step.Since && (had.Back || step.Since-had.Since < suspicion.Milliseconds()) && had.Since > 0 {
		step.Since = had.Since
	}
	step.Back = step.Back || had.Back
	return s.note(ctx, s.stepKey(), step)
}

// LastStep returns what NoteStep has noted, since the last ForgetStep.
func (s *Store) LastStep(ctx context.Context) (step Step, err error) {
	err = readNote(s.client.Get(ctx, s.stepKey()), &step)
	return step, err
}

// ForgetStep is called when everything that was in doubt is taken back.
func (s *Store) ForgetStep(ctx context.Context) error { return s.client.Del(ctx, s.stepKey()).Err() }

// TakenBack says of which window ends results were taken back: whoever has one of them reads again.
type TakenBack struct {
	ID    string `json:"id"` // Another one after each time.
	Since int64  `json:"since"`
	Until int64  `json:"until"` // Epoch ms, both: ends after Since, up to Until.
}

// Has reports whether a result of a window end may have been taken back.
func (t TakenBack) Has(end int64) bool { return end > t.Since && end <= t.Until }

func (s *Store) takenBackKey() string { return s.client.Key("results:taken_back") }

// NoteTakenBack publishes t for readers. What was noted within the last hour is part of it, since clients
// come back after a while.
func (s *Store) NoteTakenBack(ctx context.Context, t TakenBack) error {
	_, had, err := s.Horizon(ctx)
	if err != nil {
		return err
	}
	if had.Until > 0 && t.Since-had.Until < suspicion.Milliseconds() {
		t.Since, t.Until = min(t.Since, had.Since), max(t.Until, had.Until)
	}
	t.ID = rand.Text()
	return s.note(ctx, s.takenBackKey(), t)
}

// Horizon is the time of Redis' clock, and what was taken back last.
func (s *Store) Horizon(ctx context.Context) (now time.Time, taken TakenBack, err error) {
	pipe := s.client.Pipeline()
	at, has := pipe.Time(ctx), pipe.Get(ctx, s.takenBackKey())
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return now, taken, fmt.Errorf("cannot ask Redis for its time: %w", err)
	}
	err = readNote(has, &taken)
	return at.Val(), taken, err
}

func (s *Store) note(ctx context.Context, key string, what any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return s.client.Set(ctx, key, text, 0).Err()
}

// readNote leaves what as it is when there is no note, or none that this program wrote.
func readNote(answer *redis.StringCmd, what any) error {
	text, err := answer.Bytes()
	if err == nil {
		_ = json.Unmarshal(text, what)
	}
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
