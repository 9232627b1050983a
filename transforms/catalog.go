package transforms

import (
	"time"

	"pulseboard/aggregate"
	"pulseboard/catalog"
	"pulseboard/metric"
)

// GroupSurvey is what a key group tells of its metrics. Nothing of it is in the
// runner's state: after a restore it is derived from the store again.
type GroupSurvey struct {
	ID int
	// Life is another one when the key group was built anew: all metrics that
	// it holds are among the changed ones then, and others are gone.
	Life uint64
	// Advanced is when its timer fired last. Long ago means that the key group
	// lives in another process by now, or that nothing moves.
	Advanced time.Time
	Metrics  int // That it holds.
	Changed  []aggregate.Summary
}

// How many metrics are told of under one lock: timers wait for it.
const surveyChunk = 32

// Survey visits the key groups of a run that this process holds, with the
// metrics that changed since the last survey. There must be one caller.
func Survey(run string, visit func(GroupSurvey)) {
	for _, k := range groupsOf(run) {
		if s, ok := k.survey(); ok {
			visit(s)
		}
	}
}

func (k *keyGroup) survey() (s GroupSurvey, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	left := k.store.Changed()
	k.mu.Unlock()
	s.Changed = make([]aggregate.Summary, 0, left) // Without the lock: it may be long.
	k.mu.Lock()
	for ; ; left -= surveyChunk {
		// While it waited for the lock it may have been replaced.
		if k.end == 0 || k.abandoned {
			return s, false
		}
		// All of end's slice may still come: its last step is not over.
		s.Changed = k.store.Survey(s.Changed, k.end/k.options.SliceMs, min(max(left, 0), surveyChunk))
		if left <= surveyChunk {
			break
		}
		k.mu.Unlock()
		k.mu.Lock()
	}
	s.ID, s.Life, s.Advanced, s.Metrics = k.id, k.life, k.advanced, k.store.Metrics()
	return s, true
}

// surveyOptions are what a store needs to be surveyed.
func surveyOptions(o aggregate.Options, sliceMs int64) aggregate.Options {
	o.EachTag = eachTag
	o.TagSample = max(catalog.MaxTags, catalog.MaxValues)
	o.MinuteSlices = time.Minute.Milliseconds() / sliceMs
	return o
}

func eachTag(key string, yield func(key, value string)) {
	tags, err := metric.ParseTagsKey(key)
	if err != nil {
		return // It has none that a filter could name.
	}
	for _, t := range tags {
		yield(t.Key, t.Value)
	}
}
