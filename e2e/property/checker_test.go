package property_test

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// checker compares everything that was seen with the log.
type checker struct {
	addr    string // Of Kafka.
	log     *topicLog
	watch   *watch
	demands map[string]*demand // By metric key.
	changed map[string]bool    // Their refresh intervals were changed.
	removed map[string]bool    // Nobody asks for them any more, so their histories are deleted.

	entries, values, messages            int
	exact, filled, overtaken, incomplete int
	lateCounted                          int
	percentiles, increases, histograms   int
}

// overtakenMs is how long before its time a record may have been stamped that
// counts a slice later: the clock of its idle partition ran on while the record
// was on its way (ARCHITECTURE.md, "Time").
const overtakenMs = 1500

func (c *checker) run() error {
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	if c.watch.fault != nil {
		return c.watch.fault
	}
	for _, stream := range slices.Sorted(maps.Keys(c.watch.streams)) {
		if err := c.stream(stream); err != nil {
			return fmt.Errorf("%s: %w", stream, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.watch.messages)) {
		if err := c.channel(key); err != nil {
			return fmt.Errorf("channel %s: %w", key, err)
		}
	}
	return nil
}

// gone reports whether a history was deleted with its query, or with a refresh
// interval of it. The watch may not have read all that it held; and a bundle that was
// under way then may have made it anew, with the ends of that bundle alone.
func (c *checker) gone(key string, refresh int64) bool {
	return c.removed[key] || !slices.Contains(c.demands[key].refresh, refresh)
}

// stream checks one history: no end is missing, and each entry is right.
func (c *checker) stream(stream string) error {
	key, refreshText, _ := strings.Cut(strings.TrimPrefix(stream, "history:"), "@")
	var refresh int64
	if _, err := fmt.Sscan(refreshText, &refresh); err != nil {
		return err
	}
	d := c.demands[key]
	if d == nil {
		return errors.New("nobody asked for it")
	}
	announced := map[int64]string{}
	for _, m := range c.watch.messages[key] {
		announced[m.WindowEnd] = m.text
	}
	entries := c.watch.streams[stream]
	before := int64(0)
	for _, end := range slices.Sorted(maps.Keys(entries)) {
		r := entries[end]
		switch {
		case end%refresh != 0 || !slices.Contains(r.Due, refresh):
			return fmt.Errorf("the end %d is not due, %v", end, r.Due)
		case before != 0 && end != before+refresh && !c.gone(key, refresh):
			ends := slices.Sorted(maps.Keys(entries))
			return fmt.Errorf("the end %d follows %d, of %d ends from %d to %d; this is %.200s, that was %.200s", end, before, len(ends), ends[0], ends[len(ends)-1], r.text, entries[before].text)
		case r.Key != key || r.WindowStart != end-d.window*1000:
			return fmt.Errorf("key %s, start %d of the end %d", r.Key, r.WindowStart, end)
		}
		// In its time: announced, and so was the end before. Others were filled in later.
		live := announced[end] == r.text && announced[end-refresh] != ""
		if err := c.entry(d, r, live); err != nil {
			return fmt.Errorf("window [%d, %d), live %v: %w; the entry is %.600s", r.WindowStart, end, live, err, r.text)
		}
		before = end
	}
	return nil
}

func (c *checker) entry(d *demand, r *result, live bool) error {
	c.entries++
	in := c.log.window(&d.query, r.WindowStart, r.WindowEnd)
	if !r.Complete {
		return c.partial(d, r, in)
	}
	end := r.WindowEnd + d.delay*1000
	passed := passedBy(in, end)
	err := c.compare(d, r, in[:passed])
	if err == nil {
		c.exact++
		return nil
	}
	// Nothing else can have changed what the window holds: records that were overtaken are
	// not in it, and when it was filled in later, others are that had come by then.
	least := passedBy(in, end-overtakenMs)
	if d.reaches() || slices.Contains(counterNames(), d.metric) || d.metric == paired {
		return c.anyPrefix(d, r, in, least, passed, live, err)
	}
	for n, held := range heldBy(in, int(r.events())) {
		switch {
		case n < least:
			continue
		case c.compare(d, r, held) != nil:
			continue
		case n > passed && live:
			return fmt.Errorf("%w: it holds an event of pipeline time %d, which is not before its end", err, in[n-1].passes)
		case n > passed:
			c.filled++
		default:
			c.overtaken++
		}
		return nil
	}
	return err
}

// anyPrefix is entry for windows of which the count does not tell which events they hang on: any of the first ones
// may be what it holds. wrong is what the ones that should be there say.
func (c *checker) anyPrefix(d *demand, r *result, in []*logged, least, passed int, live bool, wrong error) error {
	for n := least; n <= len(in); n++ {
		err := c.compare(d, r, in[:n])
		switch {
		case err != nil:
			if !errors.Is(err, errCount) {
				wrong = errors.Join(wrong, fmt.Errorf("of the first %d: %w", n, err))
			}
			continue
		case n > passed && live:
			return fmt.Errorf("%w: it holds an event of pipeline time %d, which is not before its end", wrong, in[n-1].passes)
		case n > passed:
			c.filled++
		default:
			c.overtaken++
		}
		return nil
	}
	return wrong
}

// passedBy is how many of the events have a pipeline time before at.
func passedBy(in []*logged, at int64) int {
	n, _ := slices.BinarySearchFunc(in, at, func(e *logged, at int64) int { return cmp.Compare(e.passes, at) })
	return n
}

// mostOvertaken bounds how many events are looked for that others overtook.
const mostOvertaken = 6

// heldBy yields what a window of so many events may hold: the first n in their order,
// without the last ones of some partitions, which were overtaken by those of others.
func heldBy(in []*logged, events int) iter.Seq2[int, []*logged] {
	return func(yield func(int, []*logged) bool) {
		for n := events; n <= min(events+mostOvertaken, len(in)); n++ {
			if n == 0 {
				if !yield(0, nil) {
					return
				}
				continue
			}
			last := in[n-1]
			tails := map[int32][]int{} // By partition, the last ones first.
			for i := n - 2; i >= 0 && in[i].passes >= last.passes-overtakenMs; i-- {
				if e := in[i]; e.partition != last.partition {
					tails[e.partition] = append(tails[e.partition], i)
				}
			}
			for out := range choices(slices.Collect(maps.Values(tails)), n-events) {
				held := make([]*logged, 0, events)
				for i, e := range in[:n] {
					if !slices.Contains(out, i) {
						held = append(held, e)
					}
				}
				if !yield(n, held) {
					return
				}
			}
		}
	}
}

// choices yields so many out of lists: of each the first ones.
func choices(lists [][]int, n int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		switch {
		case n == 0:
			yield(nil)
			return
		case len(lists) == 0:
			return
		}
		for k := range min(n, len(lists[0])) + 1 {
			for rest := range choices(lists[1:], n-k) {
				if !yield(append(slices.Clone(rest), lists[0][:k]...)) {
					return
				}
			}
		}
	}
}

// partial checks what says of itself that it is not whole: never more than the log.
func (c *checker) partial(d *demand, r *result, in []*logged) error {
	c.incomplete++
	if d.metric == histograms {
		return nil // What a sample is compared with was not read: then all may count that it has ever counted.
	}
	groups := d.groups(in, r.WindowStart, r.WindowEnd)
	for _, s := range r.Series {
		n := 0
		if g := groups[d.group(s.Tags)]; g != nil {
			n = len(g.values)
		}
		if s.Count > int64(n) {
			return fmt.Errorf("incomplete, and %d events of %v, where the log has %d", s.Count, s.Tags, n)
		}
	}
	return nil
}

func (c *checker) count(d *demand, r *result, groups map[string]*content) {
	c.values += len(r.Series)
	if d.aggregation[0] == 'p' {
		c.percentiles += len(r.Series)
	}
	switch {
	case d.metric == histograms:
		c.histograms += len(r.Series)
	case d.reaches():
		c.increases += len(r.Series)
	}
	for _, g := range groups {
		c.lateCounted += g.late
	}
}

var errCount = errors.New("another number of events")

// compare checks an entry against events.
func (c *checker) compare(d *demand, r *result, in []*logged) error {
	groups := d.groups(in, r.WindowStart, r.WindowEnd)
	listed := map[string]bool{}
	for _, s := range r.Series {
		g := d.group(s.Tags)
		if listed[g] {
			return fmt.Errorf("%v is listed twice", s.Tags)
		}
		listed[g] = true
		want := 0
		if groups[g] != nil {
			want = len(groups[g].values)
		}
		if s.Count != int64(want) {
			return fmt.Errorf("%w: %v: %d events, the log has %d", errCount, s.Tags, s.Count, want)
		}
		if err := check(d.aggregation, s.Value, groups[g]); err != nil {
			return fmt.Errorf("%v of %d events: %w", s.Tags, want, err)
		}
	}
	var newest *int64
	for g, content := range groups {
		if len(content.values) == 0 {
			continue
		}
		if !listed[g] {
			return fmt.Errorf("group %q with %d events is not listed", g, len(content.values))
		}
		if newest == nil || content.newest > *newest {
			newest = &content.newest
		}
	}
	switch {
	case (newest == nil) != (r.NewestEvent == nil) || newest != nil && *newest != *r.NewestEvent:
		return errors.New("newest_event is another")
	case len(d.groupBy) == 0 && r.Matched > 0 && len(r.Series) != 1:
		return fmt.Errorf("%d series of a query that is not grouped", len(r.Series))
	case len(groups) > 0 && r.Matched == 0:
		return errors.New("nothing matched")
	}
	if d.reaches() && d.metric != histograms {
		if err := checkStarts(r.UnknownStarts, groups); err != nil {
			return err
		}
	}
	c.count(d, r, groups)
	return nil
}

// channel checks the messages of a metric key: rising, each as its history has
// it, and each naming the end before it.
func (c *checker) channel(key string) error {
	ends := map[int64][]string{} // A refresh interval that came later has entries of its own.
	for stream, entries := range c.watch.streams {
		if k, _, _ := strings.Cut(strings.TrimPrefix(stream, "history:"), "@"); k == key {
			for end, r := range entries {
				ends[end] = append(ends[end], r.text)
			}
		}
	}
	sorted := slices.Sorted(maps.Keys(ends))
	before := int64(0)
	for _, m := range c.watch.messages[key] {
		c.messages++
		if c.removed[key] && m.WindowEnd > before && (len(sorted) == 0 || m.WindowEnd > sorted[len(sorted)-1]) {
			// Its history was deleted before the watch read this end: the message is all that is left of it.
			if err := c.entry(c.demands[key], m, true); err != nil {
				return fmt.Errorf("the message of %d, after its history was deleted: %w", m.WindowEnd, err)
			}
			before = m.WindowEnd
			continue
		}
		if m.WindowEnd > before && slices.ContainsFunc(m.Due, func(refresh int64) bool { return c.gone(key, refresh) }) && !slices.Contains(ends[m.WindowEnd], m.text) {
			if err := c.entry(c.demands[key], m, true); err != nil {
				return fmt.Errorf("the message of %d, of a history that was deleted: %w", m.WindowEnd, err)
			}
			before = m.WindowEnd
			continue
		}
		if m.WindowEnd <= before || !slices.Contains(ends[m.WindowEnd], m.text) {
			return fmt.Errorf("the end %d follows %d; the message is %.300s, the history has %.300s", m.WindowEnd, before, m.text, ends[m.WindowEnd])
		}
		i, _ := slices.BinarySearch(sorted, m.WindowEnd)
		if i > 0 && m.PrevEnd != sorted[i-1] && !c.changed[key] && !c.removed[key] { // See gone.
			return fmt.Errorf("prev_end of %d is %d, the end before it %d", m.WindowEnd, m.PrevEnd, sorted[i-1])
		}
		before = m.WindowEnd
	}
	return nil
}
