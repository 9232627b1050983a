package statsd

import (
	"hash/maphash"
	"time"

	"pulseboard/metric"
)

const (
	// heldBytes bounds what signed gauges and sets hold: about 150,000 gauges, or a million values of sets.
	heldBytes = 32 << 20
	// A gauge that nobody has sent for gaugeIdle is forgotten where there is no room for another.
	gaugeIdle  = time.Hour
	sweepPause = time.Minute

	// SetInterval is how long a set counts what is new to it. Intervals are multiples of it since 1970.
	SetInterval = 10 * time.Second

	gaugeBytes = 160 // Besides its key.
	setBytes   = 256
	valueBytes = 40 // Of a value of a set.
)

// held is what the listener must know of the lines before: what signed gauges stand at, and the
// values that the sets of this interval have. It is all bounded together.
type held struct {
	room    int64 // Bytes that are left.
	gauges  map[string]*heldGauge
	swept   int64 // When idle gauges were looked for, epoch ms.
	sets    map[string]*heldSet
	setsEnd int64 // When the interval of sets ends, epoch ms.
	seed    maphash.Seed
	key     []byte // Scratch space.
}

type heldGauge struct {
	value float64
	used  int64 // Arrival of its last line, epoch ms.
	gone  bool  // It is forgotten.

	// Its last event: the time, and where it is while it is in the batch of that number.
	at    int64
	batch uint64
	index int
}

type heldSet struct {
	name   string
	tags   metric.Tags
	end    int64               // Of its interval.
	values map[uint64]struct{} // Hashes: of a million values, two are taken for one with a chance of 1 in 37 million.
}

func newHeld(room int64) held {
	return held{room: room, gauges: make(map[string]*heldGauge), sets: make(map[string]*heldSet), seed: maphash.MakeSeed()}
}

// keyOf is a series as a key of the maps; it is the same in whatever order and form its tags come.
func (h *held) keyOf(s *series) []byte {
	h.key = append(append(h.key[:0], s.name...), 0)
	h.key = s.tags.AppendKey(h.key)
	return h.key
}

// gauge returns what is held of a gauge, nil where there is no room for another.
func (h *held) gauge(s *series, now int64) *heldGauge {
	if s.gauge != nil && !s.gauge.gone {
		return s.gauge
	}
	key := h.keyOf(s)
	g := h.gauges[string(key)]
	if g == nil {
		need := int64(len(key)) + gaugeBytes
		if need > h.room {
			h.sweep(now)
		}
		if need > h.room {
			return nil
		}
		h.room -= need
		g = new(heldGauge)
		h.gauges[string(key)] = g
	}
	s.gauge = g
	return g
}

// sweep forgets gauges that nobody has sent for long.
func (h *held) sweep(now int64) {
	if now-h.swept < sweepPause.Milliseconds() && now >= h.swept {
		return
	}
	h.swept = now
	for key, g := range h.gauges {
		if now-g.used >= gaugeIdle.Milliseconds() {
			g.gone = true
			h.room += int64(len(key)) + gaugeBytes
			delete(h.gauges, key)
		}
	}
}

// add adds a value to a set, and reports whether there was room for it.
func (h *held) add(s *series, value []byte) bool {
	set := s.set
	if set == nil || set.end != h.setsEnd {
		key := h.keyOf(s)
		if set = h.sets[string(key)]; set == nil {
			need := int64(len(key)) + setBytes
			if need > h.room {
				return false
			}
			h.room -= need
			set = &heldSet{name: s.name, tags: s.tags, end: h.setsEnd, values: make(map[uint64]struct{})}
			h.sets[string(key)] = set
		}
		s.set = set
	}
	hash := maphash.Bytes(h.seed, value)
	if _, known := set.values[hash]; known {
		return true
	}
	if h.room < valueBytes {
		return false
	}
	h.room -= valueBytes
	set.values[hash] = struct{}{}
	return true
}

// closeSets calls each with the sets of the interval, and begins the one that now lies in.
func (h *held) closeSets(now int64, each func(*heldSet)) {
	for key, set := range h.sets {
		each(set)
		h.room += int64(len(key)) + setBytes + int64(len(set.values))*valueBytes
	}
	if len(h.sets) > 0 {
		h.sets = make(map[string]*heldSet)
	}
	h.setsEnd = now - now%SetInterval.Milliseconds() + SetInterval.Milliseconds()
}
