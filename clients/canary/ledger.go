package canary

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ledger holds each event from its sending until it is certain what became of it.
type ledger struct {
	metrics *metrics
	log     *slog.Logger

	mu     sync.Mutex
	events map[int64]*event // By slot.
	seen   time.Time        // Time of the newest event that was seen, or the start.
	used   []int64          // The last slots that were sent in: a clock that goes back comes to them again.
}

// event is the one of a slot.
type event struct {
	at           time.Time
	acknowledged bool
	first        int64 // The end, in slots, of the first window with it; 0 = none yet.
	twice        bool
	last         coverage // What the last window that could hold it was.
}

type coverage uint8

const (
	notShown coverage = iota
	incomplete
	complete
)

// window is one result as the stream showed it.
type window struct {
	end      int64     // In slots.
	sum      float64   // Of this instance.
	complete bool      // It holds all there was, rather than what a new pipeline has read so far.
	sent     time.Time // By the gateway's clock; zero in a snapshot.
}

const (
	// An event is judged so many slots after its last window: windows that a stream
	// leaves out it sends afterwards.
	grace = 5
	// Without results nothing is judged; then what is older than this is given up. The
	// histories do not reach back further.
	patience = 10 * time.Minute
	// usedSlots are more than a window has, with all that may come late.
	usedSlots = 4096
)

// Verdicts about acknowledged events.
const (
	verdictCounted    = "counted"    // In the first window that could hold it.
	verdictLate       = "late"       // In a later one.
	verdictTwice      = "twice"      // More than once in one window.
	verdictLost       = "lost"       // In none, although the last that could hold it was complete.
	verdictIncomplete = "incomplete" // In none, and the pipeline said that it had not read all.
	verdictUnseen     = "unseen"     // The last window that could hold it was never shown.
)

func newLedger(reg prometheus.Registerer, log *slog.Logger, start time.Time) *ledger {
	l := &ledger{log: log, events: make(map[int64]*event), seen: start}
	l.metrics = newMetrics(reg, func() float64 { return l.age(time.Now()).Seconds() })
	return l
}

func slotOf(t time.Time) int64 { return t.Unix() }

// add takes an event that is about to be sent; false when its slot has had one.
func (l *ledger) add(at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := slotOf(at)
	if slices.Contains(l.used, slot) {
		return false
	}
	if l.used = append(l.used, slot); len(l.used) > 2*usedSlots {
		l.used = append(l.used[:0], l.used[usedSlots:]...)
	}
	l.events[slot] = &event{at: at}
	l.judge(func(slot int64) bool { return at.Sub(time.Unix(slot, 0)) > patience })
	return true
}

// forgive forgets what is under way: its times are those of a clock that was set since.
func (l *ledger) forgive(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.events)
	l.seen = now
}

// acknowledge says that ingest has promised not to lose the event.
func (l *ledger) acknowledge(at, now time.Time) {
	l.metrics.stage.WithLabelValues(stageAcknowledged).Observe(since(now, at))
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.events[slotOf(at)]; e != nil {
		e.acknowledged = true
	}
}

// show takes a window that a client has received now.
func (l *ledger) show(w window, now time.Time) {
	sum, ok := readSum(w.sum)
	if !ok {
		l.metrics.foreign.Inc()
		l.log.Error("a sum is not made of this canary's events: somebody else sends as its instance; give each canary a name of its own with --instance", "sum", w.sum)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for slot := w.end - Slots; slot < w.end; slot++ {
		e := l.events[slot]
		if e == nil {
			continue
		}
		n := times(sum, slot)
		if n > 0 && e.first == 0 {
			l.found(e, w, now)
		}
		e.twice = e.twice || n > 1
		if slot == w.end-Slots {
			e.last = incomplete
			if w.complete {
				e.last = complete
			}
		}
	}
	l.judge(func(slot int64) bool { return slot+Slots+grace <= w.end })
}

// found measures what an event took, now that it is there.
func (l *ledger) found(e *event, w window, now time.Time) {
	e.first = w.end
	if e.at.After(l.seen) {
		l.seen = e.at
	}
	l.metrics.eventToClient.Observe(since(now, e.at))
	if e.first != slotOf(e.at)+1 || w.sent.IsZero() {
		return // The stages of what is late or read again say nothing about the way.
	}
	end := time.Unix(w.end, 0)
	l.metrics.stage.WithLabelValues(stageWindow).Observe(since(end, e.at))
	l.metrics.stage.WithLabelValues(stageComputed).Observe(since(w.sent, end))
	l.metrics.stage.WithLabelValues(stageDelivered).Observe(since(now, w.sent))
}

// judge says what became of the events that are due, and forgets them.
func (l *ledger) judge(due func(slot int64) bool) {
	for slot, e := range l.events {
		if !due(slot) {
			continue
		}
		delete(l.events, slot)
		if !e.acknowledged {
			continue // Without an acknowledgement it may be there or not.
		}
		v := e.verdict(slot)
		l.metrics.verdicts.WithLabelValues(v).Inc()
		if v == verdictLost || v == verdictUnseen || v == verdictTwice {
			l.log.Error("an acknowledged event was not counted once", "verdict", v, "event_time", e.at.UTC())
		}
	}
}

func (e *event) verdict(slot int64) string {
	switch {
	case e.twice:
		return verdictTwice
	case e.first == slot+1:
		return verdictCounted
	case e.first > 0:
		return verdictLate
	case e.last == complete:
		return verdictLost
	case e.last == incomplete:
		return verdictIncomplete
	}
	return verdictUnseen
}

// age is how old the newest event is that a client has seen.
func (l *ledger) age(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, now.Sub(l.seen))
}

// since is never below 0: the clocks of two machines differ.
func since(now, then time.Time) float64 { return max(0, now.Sub(then).Seconds()) }
