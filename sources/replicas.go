package sources

import (
	"math"
	"slices"
	"time"
	"unsafe"

	"pulseboard/metric"
	"pulseboard/wire"
)

// replicas are the series of one partition that several agents send of the same targets, so that one may be lost. They
// differ by one tag, which leaves them, and then the samples of one replica count:
//
//	a   15      30      45 †                        105     120
//	b       25      40      55      70      85      [100]   [115]
//	       [25]    [40]    [55]      └ nothing has counted since b's sample before
//
// A replica takes over with a sample before which none has counted since its own last one. The replica with the least name
// takes over again with its first sample that is newer than what has counted. There is no time to wait for, so
// none is missing from a window that is longer than two intervals. All of it is decided by the log of some intervals: every
// replay that reads back so far decides the same.
type replicas struct {
	tag     string
	limits  metric.Limits
	most    int                                 // Series that are remembered; 0 = any number.
	byTags  map[string]map[*metric.Tag]*replica // By metric and the address of tags, since a decoder gives equal tags the same.
	tags    int                                 // How many there are in these.
	series  map[string]*replicated              // By metric and tags without that of the replica.
	key     []byte
	sweepAt int64 // In the time of the log.
}

// replicated is a series that replicas send.
type replicated struct {
	tags     metric.Tags // Without that of the replica.
	replicas []*replica
	holder   *replica // The one whose samples count; nil = none yet.
	counted  int64    // The newest time of them,
	at       int64    // and the newest time of the log at which one counted, epoch ms.
	value    float64  // What the counter of the newest stood at.
}

// replica is one sender of a series. One that is of no series stands for tags without a replica.
type replica struct {
	of     *replicated
	name   string
	newest int64 // Of its samples, whether they counted or not,
	at     int64 // and the newest time of the log at which one came, epoch ms.
}

// replicaHorizon is for how long, in the time of the log, a replica is remembered. Agents scrape at least each minute.
const replicaHorizon = int64(2 * time.Minute / time.Millisecond)

// newReplicas returns nil where nothing tells replicas apart.
func newReplicas(o *Options) *replicas {
	if o.ReplicaTag == "" {
		return nil
	}
	limits := metric.Limits{Late: time.Duration(o.LatenessMs) * time.Millisecond, Ahead: time.Duration(o.MaxFutureMs) * time.Millisecond}
	r := &replicas{tag: o.ReplicaTag, limits: limits, byTags: make(map[string]map[*metric.Tag]*replica), series: make(map[string]*replicated)}
	if o.MaxIDs > 0 {
		r.most = max(1, int(int64(o.MaxIDs)*IDBytes/replicatedSize))
	}
	return r
}

// leaveOut takes the tag out of the samples of replicas, and those out of a record that another replica has sent too, and returns how
// many these are. What does not count for another reason stays as it is.
func (r *replicas) leaveOut(rec *Record) (left int) {
	kept := rec.Events[:0]
	for i := range rec.Events {
		e := rec.Events[i]
		if sender := r.sender(&e); sender != nil {
			if at, code := rec.Verdict(&e, r.limits); code == "" {
				if !sender.counts(&e, at, rec.Newest) {
					continue
				}
				e.Tags = sender.of.tags
			}
		}
		kept = append(kept, e)
	}
	left = len(rec.Events) - len(kept)
	rec.Events = kept
	r.sweep(rec.Newest)
	return left
}

// recall remembers a record that was read before; newest is the time of the log there.
func (r *replicas) recall(rec logged, newest int64, d *wire.Decoder) {
	before := Record{Time: max(rec.Timestamp.UnixMilli(), 0), Newest: newest, Latest: newest}
	before.decode(d, rec.Record)
	r.leaveOut(&before)
}

// sender returns the replica that sent an event, nil where it is of none. What is no sample of something that stands somewhere
// is what happened, and was sent by nobody else.
func (r *replicas) sender(e *metric.Event) *replica {
	if len(e.Tags) == 0 || !e.Stale && e.Kind != metric.Cumulative && e.Kind != metric.Gauge {
		return nil
	}
	known := r.byTags[e.Metric]
	sender := known[&e.Tags[0]]
	if sender == nil {
		if r.tags == mostTags {
			r.forgetTags()
		}
		sender = r.find(e)
		if known = r.byTags[e.Metric]; known == nil {
			known = make(map[*metric.Tag]*replica)
			r.byTags[e.Metric] = known
		}
		known[&e.Tags[0]] = sender
		r.tags++
	}
	if sender.of == nil {
		return nil
	}
	return sender
}

// mostTags bounds how many tags are remembered by their address: it only saves finding them again.
const mostTags = 50_000

func (r *replicas) forgetTags() {
	clear(r.byTags)
	r.tags = 0
}

// find returns the replica that sent an event by its tags.
func (r *replicas) find(e *metric.Event) *replica {
	name := e.Tags.Get(r.tag)
	if name == "" {
		return new(replica)
	}
	tags := slices.DeleteFunc(slices.Clone(e.Tags), func(t metric.Tag) bool { return t.Key == r.tag })
	r.key = tags.AppendKey(append(append(r.key[:0], e.Metric...), 0))
	s := r.series[string(r.key)]
	if s == nil {
		if r.most > 0 && len(r.series) >= r.most {
			replicasForgotten.Add(float64(len(r.series)))
			r.forgetTags()
			clear(r.series)
		}
		s = &replicated{tags: tags}
		r.series[string(r.key)] = s
	}
	if i := slices.IndexFunc(s.replicas, func(o *replica) bool { return o.name == name }); i >= 0 {
		return s.replicas[i]
	}
	sender := &replica{of: s, name: name, newest: math.MinInt64, at: math.MinInt64 / 2}
	s.replicas = append(s.replicas, sender)
	return sender
}

// counts reports whether a sample of a replica counts, and remembers it; at is its time, now that of the log.
func (r *replica) counts(e *metric.Event, at, now int64) bool {
	s := r.of
	before := int64(math.MinInt64)
	if now-r.at <= replicaHorizon {
		before = r.newest
	}
	r.newest, r.at = max(before, at), now
	other := s.holder != nil && s.holder != r && now-s.at <= replicaHorizon
	switch {
	case !other:
	case at <= before, at <= s.counted: // It came again, or late.
		return false
	case r.name > s.holder.name && s.counted > before:
		return false
	}
	fell := false
	if s.holder != r || at >= s.counted {
		s.counted, fell = at, s.fell(e)
	}
	s.holder, s.at = r, now
	return !other || !fell
}

// fell reports whether a counter stands lower than it did last, and takes what it stands at. Where one replica follows another
// that need be no reset, since their clocks may differ by more than lies between two samples: the first is left out, and
// after a reset the second is low too.
func (s *replicated) fell(e *metric.Event) bool {
	if e.Kind != metric.Cumulative || e.Stale {
		return false
	}
	before := s.value
	s.value = e.Value
	if e.Histogram != nil {
		s.value = float64(e.Histogram.Count)
	}
	return s.value < before && e.Start == 0
}

// sweep forgets what is older than the horizon, once in it.
func (r *replicas) sweep(now int64) {
	if now < r.sweepAt {
		return
	}
	r.sweepAt = now + replicaHorizon
	r.forgetTags()
	for key, s := range r.series {
		s.replicas = slices.DeleteFunc(s.replicas, func(o *replica) bool { return now-o.at > replicaHorizon })
		if len(s.replicas) == 0 {
			delete(r.series, key)
		}
	}
}

// replicatedSize is about what a series of two replicas takes in memory.
const replicatedSize = int64(unsafe.Sizeof(replicated{})+2*unsafe.Sizeof(replica{})) + 512

// addressSize is what an address takes in a map, and the list of tags that it keeps.
const addressSize = 200

func (r *replicas) size() int64 {
	return int64(len(r.series))*replicatedSize + int64(r.tags)*addressSize
}
