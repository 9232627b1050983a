package sinks

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/results"
)

// acknowledged is the newest window end of each history that Redis has acknowledged to
// this process, epoch ms.
//
// A Redis that takes over from another may lack some of it: a replica is behind its
// master by as much as it lags. After each fault, when another may answer, the
// histories are compared with this before anything newer is written, which would make
// Redis refuse what is missing. Where there was no fault, the count that results keeps
// beside the histories tells.
type acknowledged map[results.Stream]int64

// remember takes note of what was written, or was there already.
func (p *Publisher) remember(pubs []results.Publication, err error) {
	w, failed := errors.AsType[*results.WriteError](err)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pub := range pubs {
		if failed && w.Keys[pub.Result.Key] {
			continue
		}
		for _, ms := range pub.Result.Due {
			s := results.Stream{Key: pub.Result.Key, RefreshMs: ms}
			p.has[s] = max(p.has[s], pub.Result.WindowEnd)
		}
	}
}

// compareAtOnce is how many histories are looked at in one round trip: each answer has a whole result.
const compareAtOnce = 50

// lacking returns the keys whose histories lack what Redis has acknowledged, when
// another Redis may answer than before. One that was emptied is told of elsewhere.
func (p *Publisher) lacking(ctx context.Context, emptied bool) (keys []string, err error) {
	p.mu.Lock()
	doubt := p.doubt
	p.doubt = false
	var streams []results.Stream
	var ends []int64
	if doubt {
		p.store.Doubt()
		for s, end := range p.has {
			streams, ends = append(streams, s), append(ends, end)
		}
	}
	p.mu.Unlock()
	if !doubt {
		return nil, nil
	}
	missing := make(map[string]bool)
	for len(streams) > 0 {
		n := min(len(streams), compareAtOnce)
		tips, err := p.newest(ctx, streams[:n])
		if err != nil {
			return nil, err
		}
		for i, tip := range tips {
			// One ahead of the clocks was never written, or will be taken back.
			if tip.WindowEnd < ends[i] && !missing[streams[i].Key] {
				missing[streams[i].Key] = true
				keys = append(keys, streams[i].Key)
			}
		}
		streams, ends = streams[n:], ends[n:]
	}
	if keys = p.forgetGone(keys); len(keys) > 0 && !emptied {
		wentBack.Inc()
		p.log.Error("Redis lacks results that it had acknowledged: a replica that lagged was promoted, or an older file was loaded; they are written again", "keys", len(keys))
	}
	return keys, nil
}

func (p *Publisher) newest(ctx context.Context, streams []results.Stream) ([]results.Tip, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	return p.store.Newest(ctx, streams)
}

// forgetGone leaves out keys that nobody asks for any more: their histories were deleted.
func (p *Publisher) forgetGone(keys []string) []string {
	wanted := p.histories.Histories()
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.has, func(s results.Stream, _ int64) bool { return wanted[s.Key] == nil })
	return slices.DeleteFunc(keys, func(key string) bool { return wanted[key] == nil })
}

var wentBack = prometheus.NewCounter(prometheus.CounterOpts{
	Name: "pulseboard_sink_went_back_total",
	Help: "How often Redis lacked results that it had acknowledged: a replica that lagged was promoted, or an older file was loaded. They are written again. Normal: 0.",
})
