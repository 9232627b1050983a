package aggregate

import "slices"

// Summary is what a store tells of a metric. A metric without series is gone.
type Summary struct {
	Metric      string
	Series      int         // Without Other.
	Overflow    bool        // There is Other: a limit turned series away.
	Tags        []TagValues // Rising by key; must not be changed.
	MoreTags    int         // Keys that are not among them.
	NewestEvent int64       // The newest event time that was ever seen, epoch ms.
	LastMean    float64     // The mean of all events of the newest slice that has any, over all series.
	LastMinute  int64       // Events of the minute before the survey, see traffic.
}

// Gone reports whether the store holds no series of the metric any more.
func (s *Summary) Gone() bool { return s.Series == 0 && !s.Overflow }

// traffic is what is known of the events of a metric at a cost that does not
// depend on them: some additions for each accumulator that is merged.
//
// The events of the last minute are counted in steps of five seconds of event
// time, the one under way not among them.
type traffic struct {
	newestEvent int64
	slice       int64 // The newest one with events: their number and sum.
	count       int64
	sum         float64
	step        int64 // The newest step with events; the others lie around it, by their index modulo their number.
	steps       [minuteSteps + 4]int64
}

const minuteSteps = 12

func (t *traffic) add(slice, step int64, a *Acc) {
	if t.count == 0 {
		t.slice, t.step, t.newestEvent = slice, step, a.Newest
	}
	t.newestEvent = max(t.newestEvent, a.Newest)
	if slice > t.slice {
		t.slice, t.count, t.sum = slice, 0, 0
	}
	if slice == t.slice {
		t.count += a.Count
		t.sum += a.Sum
	}
	const n = int64(len(t.steps))
	if step > t.step {
		for s := max(t.step+1, step-n+1); s <= step; s++ {
			t.steps[mod(s, n)] = 0
		}
		t.step = step
	}
	if step > t.step-n {
		t.steps[mod(step, n)] += a.Count
	}
}

// minute returns the events of the whole minute before a step.
func (t *traffic) minute(step int64) (events int64) {
	const n = int64(len(t.steps))
	for s := max(step-minuteSteps, t.step-n+1); s < step && s <= t.step; s++ {
		events += t.steps[mod(s, n)]
	}
	return events
}

// stepOf returns the step that a slice belongs to.
func (s *Store) stepOf(slice int64) int64 {
	length := max(1, s.options.MinuteSlices/minuteSteps)
	return (slice - mod(slice, length)) / length
}

// surveyed reports whether the store keeps what a survey tells.
func (s *Store) surveyed() bool { return s.options.EachTag != nil }

func (s *Store) change(m *metricSeries) {
	if !m.changed {
		m.changed = true
		s.changed = append(s.changed, m)
	}
}

// countSeries is called when a series has come (by 1) or was forgotten (by -1).
func (s *Store) countSeries(m *metricSeries, sr *series, by int) {
	switch {
	case by > 0 && len(m.series) == 1:
		s.listed++
	case by < 0 && len(m.series) == 0:
		s.listed--
	}
	if sr.tags != Other {
		m.plain += by
	}
	if !s.surveyed() {
		return
	}
	s.change(m)
	if sr.tags == Other {
		return // It has no tags of its own.
	}
	if by < 0 {
		if m.index != nil {
			s.options.EachTag(sr.tags, m.index.remove) // A sweep counts what is left.
		}
		return
	}
	before := m.index.bytes()
	s.options.EachTag(sr.tags, func(key, value string) {
		if m.index == nil {
			m.index = newTagIndex(s.options.TagSample)
		}
		m.index.add(key, value)
	})
	s.charge(m.index.bytes() - before)
}

// Metrics returns of how many metrics the store holds series.
func (s *Store) Metrics() int { return s.listed }

// Changed returns how many metrics a survey would tell of.
func (s *Store) Changed() int { return len(s.telling) + len(s.changed) }

// Survey appends what is known of at most limit metrics that changed since they
// were told of last; one whose series were forgotten is told of once more, and
// one with events in the last minute, or the step under way, as long as it has
// them: call it until it has told of as many as Changed said before. before is the
// first slice that is not over. The cost does not depend on events or series.
func (s *Store) Survey(dst []Summary, before int64, limit int) []Summary {
	step := s.stepOf(before)
	for range min(limit, s.Changed()) {
		if len(s.telling) == 0 {
			s.telling, s.changed = s.changed, s.telling
		}
		last := len(s.telling) - 1
		m := s.telling[last]
		s.telling[last] = nil // It may be forgotten.
		s.telling = s.telling[:last]
		m.changed = false
		if now := s.metrics[m.name]; m.dropped && now != nil && len(now.series) > 0 {
			continue // It came back, and the survey tells of that.
		}
		if len(m.series) > 0 || m.told {
			dst = append(dst, m.tell(step))
		}
		m.told = len(m.series) > 0
		if m.told && m.traffic.step >= step-minuteSteps { // The count goes on to change by itself.
			s.change(m)
		}
	}
	return dst
}

func (m *metricSeries) tell(step int64) Summary {
	if len(m.series) == 0 {
		return Summary{Metric: m.name}
	}
	sum := Summary{
		Metric: m.name, Series: m.plain, Overflow: m.plain < len(m.series),
		NewestEvent: m.traffic.newestEvent, LastMinute: m.traffic.minute(step),
	}
	if m.index != nil {
		sum.Tags, sum.MoreTags = m.index.tell()
	}
	if m.traffic.count > 0 {
		sum.LastMean = m.traffic.sum / float64(m.traffic.count)
	}
	return sum
}

// forgetUntold leaves out metrics that came and went between two surveys: without
// any survey they would be kept for ever.
func (s *Store) forgetUntold() {
	s.changed = slices.DeleteFunc(s.changed, func(m *metricSeries) bool { return m.dropped && !m.told })
}
