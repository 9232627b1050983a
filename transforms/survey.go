package transforms

import "pulseboard/catalog"

// surveyChunk is how many metrics are surveyed under one lock: timers wait for it.
const surveyChunk = 32

// Survey visits the key groups that this process holds, with the
// metrics that changed since the last survey. There must be one caller.
func (g *Groups) Survey(visit func(catalog.Survey)) {
	for _, k := range g.all() {
		if s, ok := k.survey(); ok {
			visit(s)
		}
	}
}

func (k *keyGroup) survey() (s catalog.Survey, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	left := k.observer.Changed()
	k.mu.Unlock()
	s.Changed = make([]catalog.Entry, 0, left) // Without the lock: it may be long.
	k.mu.Lock()
	for ; ; left -= surveyChunk {
		// While it waited for the lock it may have been replaced.
		if k.end == 0 || k.abandoned {
			return s, false
		}
		// Events of the slice that begins at end may still come: the minute before it is whole.
		s.Changed = k.observer.Survey(s.Changed, k.end/k.options.SliceMs, min(max(left, 0), surveyChunk))
		if left <= surveyChunk {
			break
		}
		k.mu.Unlock()
		k.mu.Lock()
	}
	s.KeyGroup, s.Epoch, s.Advanced, s.Metrics = k.id, k.epoch, k.advanced, k.observer.Metrics()
	return s, true
}
