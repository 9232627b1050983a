package sources

import "slices"

// alignment keeps the partitions of a shard together in pipeline time.
type alignment struct {
	maxDriftMs int64
	partitions []*partition // By id.
	complete   bool         // All that the shard begins with are known.
}

// add is called for each partition of the shard; last is set with the last of those that it begins with.
func (a *alignment) add(p *partition, last bool) {
	i, _ := slices.BinarySearchFunc(a.partitions, p.Partition, func(p *partition, id int32) int { return int(p.Partition - id) })
	a.partitions = slices.Insert(a.partitions, i, p)
	a.complete = a.complete || last
}

// collect takes what is queued for each partition. No pipeline time is before the watermark that Beam has:
// Beam would drop a record before it.
func (a *alignment) collect(watermark int64) {
	for _, p := range a.partitions {
		p.collect()
		p.reach(watermark, p.begun)
	}
}

// time is the pipeline time of the shard, epoch ms: the minimum over the partitions, unknown while one's is.
func (a *alignment) time() (at int64, known bool) {
	if !a.complete {
		return 0, false
	}
	for i, p := range a.partitions {
		if !p.begun {
			return 0, false
		}
		if i == 0 || p.Time < at {
			at = p.Time
		}
	}
	return at, true
}

// furthestBehind returns the partition whose pipeline time is the lowest of those that have a record, nil when none has.
func (a *alignment) furthestBehind() (p *partition) {
	for _, q := range a.partitions {
		if q.peek() != nil && (p == nil || q.Time < p.Time) {
			p = q
		}
	}
	return p
}

// limit is the pipeline time up to which a partition may be read: not too far ahead
// of the others, since all that lies between is held in memory.
func (a *alignment) limit(p *partition) int64 {
	limit := p.Time + 10*a.maxDriftMs
	for _, q := range a.partitions {
		if q != p {
			limit = min(limit, q.Time+a.maxDriftMs)
		}
	}
	return limit
}

// atEnd reports whether a bounded read has emitted everything before its ends.
func (a *alignment) atEnd() bool {
	return !slices.ContainsFunc(a.partitions, func(p *partition) bool { return !p.atEnd() })
}

// cut returns where each partition is to be read on for the slices from end on.
func (a *alignment) cut(end int64) []Offset {
	next := make([]Offset, 0, len(a.partitions))
	for _, p := range a.partitions {
		next = append(next, p.cut(end))
	}
	return next
}
