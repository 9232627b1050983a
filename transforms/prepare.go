package transforms

import (
	"context"
	"slices"
	"time"

	"pulseboard/aggregate"
	"pulseboard/results"
	"pulseboard/wire"
)

// startPreparing starts the goroutine that prepares new queries, if there are any.
func (k *keyGroup) startPreparing() {
	if k.end != 0 && !k.preparing && len(k.unprepared()) > 0 {
		k.preparing = k.groups.spawn(k.prepare)
	}
}

// unprepared returns the queries of one selector that are not active yet.
func (k *keyGroup) unprepared() []*query {
	var qs []*query
	for _, q := range k.queries.byGroup[k.id] {
		if k.progress[q.key] != nil || len(qs) > 0 && q.selector != qs[0].selector {
			continue
		}
		qs = append(qs, q)
	}
	return qs
}

// prepare makes new queries active until there are none: it builds their trees
// and computes their history from what is held, while the timers go on with
// the other queries, and gives both to the sink itself. A new widget so does not
// wait for the end of a slice, and no other waits for it.
func (k *keyGroup) prepare() {
	for {
		k.mu.Lock()
		k.follow()
		qs := k.unprepared()
		if len(qs) == 0 || k.abandoned || k.groups.isClosed() {
			k.preparing = false
			k.mu.Unlock()
			return
		}
		began := time.Now()
		b := k.build(qs[0])
		pasts := make([]past, 0, len(qs))
		for _, q := range qs {
			if k.groups.sink.Behind(q.key) {
				pasts = append(pasts, past{query: q, at: k.end})
				continue
			}
			pasts = append(pasts, k.past(q, nil))
		}
		k.mu.Unlock()
		runBuild(k.groups.ctx, b, pasts)
		buildSeconds.Observe(time.Since(began).Seconds())
		k.introduce(b, pasts)
	}
}

// past is the windows of a new query that are over.
type past struct {
	query   *query
	at      int64 // What was evaluated then.
	ends    []int64
	due     [][]int64
	windows []windowValues
}

// past finds which windows of a query were due, in the history's length, as far
// as slices are held, and after an end for each refresh interval.
func (k *keyGroup) past(q *query, after map[int64]int64) past {
	oldest, _ := k.store.Oldest(q.metric)
	due := make(map[int64][]int64)
	for _, r := range q.refreshMs {
		e := aggregate.Div(k.end-q.delayMs, r) * r
		for n := 0; n < wire.HistoryLength && e > oldest*k.options.SliceMs && e > k.since && e > after[r]; n++ {
			due[e] = append(due[e], r)
			e -= r
		}
	}
	p := past{query: q, at: k.end, ends: make([]int64, 0, len(due))}
	for e := range due {
		p.ends = append(p.ends, e)
	}
	slices.Sort(p.ends)
	for _, e := range p.ends {
		p.due = append(p.due, due[e])
	}
	p.windows = make([]windowValues, len(p.ends))
	return p
}

// A build that takes long leaves the processor to the timers now and then.
const (
	buildSpan = 20 * time.Millisecond
	buildRest = 10 * time.Millisecond
)

// runBuild runs a build for all windows of all the queries. When ctx ends, it rests no more.
func runBuild(ctx context.Context, b *aggregate.Build, pasts []past) {
	var ranges []aggregate.Range
	for _, p := range pasts {
		for _, e := range p.ends {
			ranges = append(ranges, p.query.slices(e))
		}
	}
	began := time.Now()
	b.Run(ranges, func(group string, accs []aggregate.Acc) {
		if time.Since(began) > buildSpan {
			select {
			case <-ctx.Done():
			case <-time.After(buildRest):
			}
			began = time.Now()
		}
		for _, p := range pasts {
			for i := range p.windows {
				p.windows[i].take(p.query, group, &accs[i])
			}
			accs = accs[len(p.windows):]
		}
	})
}

// introduce puts what was built to use and publishes the histories, then the
// windows that came due meanwhile; with nothing left to catch up with, the
// queries are active, and the timers go on with them. All of it is under the lock:
// a timer's newer window end would make Redis refuse the older ones of the history.
func (k *keyGroup) introduce(b *aggregate.Build, pasts []past) {
	k.mu.Lock()
	defer k.mu.Unlock()
	first := pasts[0].query
	sel := k.store.Adopt(b)
	var out []results.Publication
	ps := make([]*progress, len(pasts))
	for i := range pasts {
		ps[i] = k.begin(&pasts[i], sel.Matched())
		for j, end := range pasts[i].ends {
			r := k.result(pasts[i].query, ps[i], end, pasts[i].due[j], &pasts[i].windows[j], sel.Matched())
			ps[i].last = end
			out = append(out, results.Publication{Result: r})
		}
	}
	for upTo := pasts[0].at; ; {
		pasts, ps = k.wanted(pasts, ps)
		if len(pasts) == 0 || k.abandoned {
			break // prepare looks again.
		}
		for upTo < k.end {
			upTo += k.options.SliceMs
			for i := range pasts {
				k.evaluate(pasts[i].query, ps[i], upTo-pasts[i].query.delayMs, &out)
			}
		}
		if len(out) == 0 {
			for i := range pasts {
				k.progress[pasts[i].query.key] = ps[i]
			}
			return
		}
		e := k.evaluation(out)
		out = nil
		k.publishing.Add(1) // Under the lock, and while it is not abandoned.
		k.mu.Unlock()
		k.groups.sink.Publish(e)
		k.publishing.Done()
		k.mu.Lock()
	}
	if q := first; !slices.ContainsFunc(k.queries.byGroup[k.id], func(o *query) bool { return o.selector == q.selector }) {
		k.store.Drop(q.metric, q.selector)
	}
}

// begin returns where the query of p goes on from what readers have of it: after a restart, or since it was given
// another refresh interval. Where no series matches, there is no history but what has begun, and that has no gap.
func (k *keyGroup) begin(p *past, matched int) *progress {
	last := max(k.announced[p.query.key], k.groups.resume.Keys[p.query.key].From)
	if matched == 0 {
		n := len(p.ends)
		if last > 0 {
			n, _ = slices.BinarySearch(p.ends, last+1)
		}
		p.ends, p.due, p.windows = p.ends[n:], p.due[n:], p.windows[n:]
	} else if len(p.ends) > 0 && p.ends[0] <= last {
		return new(progress) // It is written from its beginning on.
	}
	return &progress{last: last}
}

// wanted leaves out the queries that were removed or changed meanwhile.
func (k *keyGroup) wanted(pasts []past, ps []*progress) ([]past, []*progress) {
	n := 0
	for i := range pasts {
		was := pasts[i].query
		j := slices.IndexFunc(k.queries.byGroup[k.id], func(q *query) bool { return q.key == was.key && slices.Equal(q.refreshMs, was.refreshMs) })
		if j >= 0 {
			pasts[n], ps[n] = pasts[i], ps[i]
			pasts[n].query = k.queries.byGroup[k.id][j]
			n++
		}
	}
	return pasts[:n], ps[:n]
}
