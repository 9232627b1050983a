package limits

import (
	"fmt"
	"slices"

	"pulseboard/metric"
	"pulseboard/wire"
)

// Resource is what queries need.
type Resource int

// The resources.
const (
	Trees       Resource = iota // Bytes of the segment trees of selectors, in the pipeline.
	Histories                   // Bytes of histories, in Redis.
	Evaluations                 // Values computed in a second.
	resources
)

// String names a resource as reports do.
func (r Resource) String() string { return [resources]string{"trees", "histories", "evaluations"}[r] }

// MarshalText implements encoding.TextMarshaler.
func (r Resource) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Resource) UnmarshalText(text []byte) error {
	for x := range resources {
		if x.String() == string(text) {
			*r = x
			return nil
		}
	}
	return fmt.Errorf("there is no resource %q", text)
}

// Amounts is so much of each resource.
type Amounts [resources]float64

func (a *Amounts) add(b Amounts) {
	for r := range a {
		a[r] += b[r]
	}
}

// Size is how wide the result of a query is.
type Size struct {
	Groups   int // Resulting series.
	KeyBytes int // Of the tags of one of them.
}

// Query is what a query costs by.
type Query struct {
	Key        string
	Metric     string
	Selector   string // Queries of a metric with the same one share their trees.
	SpanSlices int64  // How far back its windows reach.
	Sketch     bool   // Its value comes from one: a percentile or a distribution.
	Bins       bool   // Its values are distributions.
	RefreshMs  []int64
	Owners     []wire.Owner
	Size       Size
}

// NewQuery returns what q costs by, when its windows are made of slices of sliceMs.
func NewQuery(q metric.Query, refreshMs []int64, owners []wire.Owner, size Size, sliceMs int64) Query {
	_, _, percentile := q.Aggregation.Percentile()
	bins := q.Aggregation.IsDistribution()
	inner, _ := q.OfBuckets() // Its trees are those of the buckets.
	return Query{
		Key: q.Key(), Metric: q.Metric, Selector: inner.Selector(), Sketch: percentile || bins, Bins: bins,
		SpanSlices: int64(q.WindowSeconds+q.DelaySeconds)*1000/sliceMs + spareSlices, RefreshMs: refreshMs, Owners: owners, Size: size,
	}
}

// What things take, about: of 64-bit machines, each slice with events. The pipeline's test TestModelOfTrees
// holds the trees to what aggregate makes.
const (
	spareSlices  = 36  // Of a tree, beyond its windows.
	chunkSlices  = 32  // Slices of a tree stand in chunks,
	chunkBytes   = 120 // which take so much with their part of the segment tree.
	sliceBytes   = 56
	sketchBytes  = 250 // More, for percentiles and distributions.
	groupBytes   = 200
	pointsKept   = 650 // Of a history: Redis trims it by whole nodes.
	resultBytes  = 160
	valueBytes   = 45 // Besides the tags.
	binBytes     = 25
	sketchEffort = 8  // A percentile costs so many sums,
	binsEffort   = 16 // and a distribution.
	queryEffort  = 20 // What a result costs whatever its width, in values.
)

// treeBytes is what the trees of a selector take that reaches span slices back.
func (q *Query) treeBytes(span int64) float64 {
	if span == 0 {
		return 0
	}
	chunks := (span+chunkSlices-1)/chunkSlices + 1
	slice := int64(sliceBytes)
	if q.Sketch {
		slice += sketchBytes
	}
	return float64(q.Size.Groups) * float64(groupBytes+int64(2*q.Size.KeyBytes)+chunks*chunkBytes+span*slice)
}

// Sum is what queries need together: equal ones are computed once, and those of
// one selector share its trees.
func Sum(queries []Query) Amounts {
	type selector struct{ metric, id string }
	type history struct {
		key       string
		refreshMs int64
	}
	widest := make(map[selector]*Query)
	seen := make(map[history]bool)
	var sum Amounts
	for i := range queries {
		q := queries[i]
		s := selector{q.Metric, q.Selector}
		if w := widest[s]; w == nil || q.treeBytes(q.SpanSlices) > w.treeBytes(w.SpanSlices) {
			widest[s] = &queries[i]
		}
		q.RefreshMs = slices.DeleteFunc(slices.Clone(q.RefreshMs), func(ms int64) bool { return seen[history{q.Key, ms}] })
		for _, ms := range q.RefreshMs {
			seen[history{q.Key, ms}] = true
		}
		cost := q.Cost()
		cost[Trees] = 0
		sum.add(cost)
	}
	for _, q := range widest {
		sum[Trees] += q.treeBytes(q.SpanSlices)
	}
	return sum
}

// Cost is what a query needs that shares nothing.
func (q *Query) Cost() Amounts {
	var a Amounts
	a[Trees] = q.treeBytes(q.SpanSlices)
	values := float64(min(q.Size.Groups, wire.MaxSeries))
	effort := float64(q.Size.Groups)
	value := float64(valueBytes + q.Size.KeyBytes)
	switch {
	case q.Bins:
		effort *= binsEffort
		value += wire.MaxBins * binBytes
	case q.Sketch:
		effort *= sketchEffort
	}
	for _, ms := range q.RefreshMs {
		a[Histories] += pointsKept * (resultBytes + values*value)
		a[Evaluations] += (queryEffort + effort) * 1000 / float64(ms)
	}
	return a
}
