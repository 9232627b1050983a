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
	return load(ctx, c, queries)
}

func load(ctx context.Context, c Config, queries *registry.Store) (registry.Set, transforms.Resume, error) {
	set, err := queries.Load(ctx)
	if err != nil {
		return set, transforms.Resume{}, err
	}
	resume, err := resumeFrom(ctx, c, set)
	return set, resume, err
}

// resumeFrom asks Redis how far each query had come when the pipeline ended.
func resumeFrom(ctx context.Context, c Config, set registry.Set) (transforms.Resume, error) {
	resume := transforms.Resume{
		Ends: make(map[string]int64, len(set.Entries)), From: make(map[string]int64, len(set.Entries)), Tips: make(map[results.Stream]int64, len(set.Entries)),
		Whole: make(map[results.Stream]bool, len(set.Entries)), Anew: make(map[string]bool),
		BeganMs: time.Now().UnixMilli(),
	}
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
		// Also of keys that nobody wants now: who asks for one again was told so far.
		resume.Ends[key] = max(resume.Ends[key], tip.WindowEnd)
		if _, wanted := set.Entries[key]; !wanted {
			continue
		}
		resume.Anew[key] = resume.Anew[key] || tip.TakenBack
		resume.Whole[streams[i]] = tip.WindowEnd > 0 && tip.Complete()
		resume.Tips[streams[i]] = tip.WindowEnd
	}
	for key, e := range set.Entries {
		resume.From[key] = from(key, e.RefreshMs, resume)
	}
	return resume, nil
}

// from is the end of a key up to which no history lacks anything: one that was being written when a
// process was killed may be behind the others.
func from(key string, refreshMs []int64, resume transforms.Resume) int64 {
	newest := resume.Ends[key]
	from := newest
	for _, r := range refreshMs {
		if tip := resume.Tips[results.Stream{Key: key, RefreshMs: r}]; tip > 0 && newest-newest%r > tip {
			from = min(from, max(tip, newest-reachMs(refreshMs)))
		}
	}
	return from
}

// reachMs is how far back the histories of a key reach that are read again.
func reachMs(refreshMs []int64) int64 { return wire.HistoryLength * slices.Min(refreshMs) }

// startFrom is from when on records are read.
func (c *Config) startFrom(set registry.Set, resume transforms.Resume) time.Time {
	if !c.Start.IsZero() {
		return c.Start
	}
	return startTime(set, resume, *c, time.Now())
}

// startTime is from when on records must be read so that every window which
// Redis lacks is whole: for each query its window before the end that Redis has,
// but no further back than its history reaches, and than maxOutage.
func startTime(set registry.Set, resume transforms.Resume, c Config, now time.Time) time.Time {
	start := now
	for key, e := range set.Entries {
		from := now
		if end := resume.From[key]; end > 0 || resume.Anew[key] {
			reach := time.Duration(reachMs(e.RefreshMs)) * time.Millisecond
			from = latest(time.UnixMilli(end), now.Add(-reach), now.Add(-maxOutage))
		}
		from = from.Add(-time.Duration(e.Query.WindowSeconds+e.Query.DelaySeconds) * time.Second)
		if from.Before(start) {
			start = from
		}
	}
	return start.Add(-c.Lateness - c.Skew - c.Bound - 2*c.Slice)
}

// maxOutage bounds how long catching up takes: histories have a gap where the
// pipeline was away for longer.
const maxOutage = time.Hour

func latest(ts ...time.Time) time.Time { return slices.MaxFunc(ts, time.Time.Compare) }
