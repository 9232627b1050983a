package pipeline

import (
	"context"
	"slices"
	"time"

	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/transforms"
	"pulseboard/wire"
)

// lookUp reads the queries and how far each had come.
func lookUp(ctx context.Context, c Config) (registry.Set, transforms.Resume, error) {
	queries, err := registry.Open(ctx, c.Redis, registry.WithLog(c.Log))
	if err != nil {
		return registry.Set{}, transforms.Resume{}, err
	}
	defer queries.Close() //nolint:errcheck // Nothing is written through it.
	set, err := queries.Load(ctx)
	if err != nil {
		return set, transforms.Resume{}, err
	}
	resume, err := resumeFrom(ctx, c, set)
	return set, resume, err
}

// resumeFrom asks Redis how far each query had come when the pipeline ended.
func resumeFrom(ctx context.Context, c Config, set registry.Set) (transforms.Resume, error) {
	resume := transforms.Resume{Keys: make(map[string]transforms.Resumed, len(set.Entries)), BeganMs: time.Now().UnixMilli()}
	store, err := results.Open(ctx, c.Redis)
	if err != nil {
		return resume, err
	}
	defer store.Close() //nolint:errcheck // It only reads.
	// All that there are: an end may have been announced for a refresh interval
	// that an edit has taken away since, and must not be again for another.
	streams, err := store.Streams(ctx)
	if err != nil {
		return resume, err
	}
	tips, err := store.Newest(ctx, streams)
	if err != nil {
		return resume, err
	}
	at, behind, err := now(ctx, store)
	if err != nil {
		return resume, err
	}
	resume.ClockMs = behind.Milliseconds()
	if err := takeBack(ctx, c, store, at, streams, tips); err != nil {
		return resume, err
	}
	for i, tip := range tips {
		key := streams[i].Key
		k := resume.Keys[key]
		// Also of keys that no query has now: an end that was announced is not announced again when one has the key again.
		k.End = max(k.End, tip.WindowEnd)
		if _, wanted := set.Entries[key]; wanted {
			k.Anew = k.Anew || tip.TakenBack
			if k.Tips == nil {
				k.Tips = make(map[int64]transforms.Tip)
			}
			r := tip.Result()
			k.Tips[streams[i].RefreshMs] = transforms.Tip{End: tip.WindowEnd, Whole: tip.WindowEnd > 0 && r != nil && r.Complete}
			if r != nil {
				k.ReachMs = max(k.ReachMs, r.ReachMs)
			}
		}
		resume.Keys[key] = k
	}
	for key, e := range set.Entries {
		k := resume.Keys[key]
		k.From = from(&k, e.RefreshMs)
		resume.Keys[key] = k
	}
	return resume, nil
}

// from is the end of a key up to which no history lacks anything: one that was being written when a
// process was killed may be behind the others.
func from(k *transforms.Resumed, refreshMs []int64) int64 {
	newest := k.End
	from := newest
	for _, r := range refreshMs {
		if tip := k.Tips[r].End; tip > 0 && newest-newest%r > tip {
			from = min(from, max(tip, newest-reachMs(refreshMs)))
		}
	}
	return from
}

// reachMs is how far back the histories of a key reach that are read again.
func reachMs(refreshMs []int64) int64 { return wire.HistoryLength * slices.Min(refreshMs) }

// startTime is from when on records must be read so that every window which
// Redis lacks is whole: for each query its window before the end that Redis has,
// but no further back than its history reaches, and than maxOutage.
func startTime(set registry.Set, resume transforms.Resume, c Config, now time.Time) time.Time {
	if !c.Start.IsZero() {
		return c.Start
	}
	start := now
	for key, e := range set.Entries {
		from := now
		if k := resume.Keys[key]; k.From > 0 || k.Anew {
			reach := time.Duration(reachMs(e.RefreshMs)) * time.Millisecond
			from = slices.MaxFunc([]time.Time{time.UnixMilli(k.From), now.Add(-reach), now.Add(-maxOutage)}, time.Time.Compare)
		}
		windows := max(e.Query.Reach(), time.Duration(resume.Keys[key].ReachMs)*time.Millisecond)
		from = from.Add(-windows - time.Duration(e.Query.DelaySeconds)*time.Second)
		if from.Before(start) {
			start = from
		}
	}
	return start.Add(-c.Lateness - c.Skew - c.Bound - 2*c.Slice)
}

// maxOutage bounds how long catching up takes: histories have a gap where the
// pipeline was away for longer.
const maxOutage = time.Hour
