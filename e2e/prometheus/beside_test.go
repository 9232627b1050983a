package prometheus

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"

	"pulseboard/aggregate"
	"pulseboard/metric"
)

const (
	sliceMs = 1000
	// allNeeds is what slices must hold for all aggregations that are asked for.
	allNeeds = aggregate.NeedGrowth | aggregate.NeedLast
	// keptSlices is how long both hold what they were told.
	keptSlices = 4000
)

// beside is a store of ours and a Prometheus that are told the same.
type beside struct {
	store  *aggregate.Store
	names  *aggregate.Names
	db     *teststorage.TestStorage
	engine *promql.Engine
	needs  aggregate.Needs // What slices hold.
}

func newBeside(t *testing.T) *beside {
	t.Helper()
	db := teststorage.New(t, func(o *tsdb.Options) {
		o.OutOfOrderTimeWindow = keptSlices * sliceMs
		o.EnableSTStorage, o.FloatChunkEncoding = true, chunkenc.EncXOR2
	})
	return &beside{
		store: aggregate.NewStore(aggregate.Options{Retain: keptSlices, SliceMs: sliceMs}), names: aggregate.NewNames(),
		db: db, engine: promqltest.NewTestEngine(t, false, aggregate.Lookback*time.Millisecond, 10_000_000),
		needs: allNeeds,
	}
}

// tell tells both of events. It returns what Prometheus refuses.
func (b *beside) tell(t *testing.T, events ...metric.Event) (refused []error) {
	t.Helper()
	b.tellUs(events)
	return b.tellThem(t, events)
}

// must tells each of its own, and fails where Prometheus refuses something.
func (b *beside) must(t *testing.T, ours, theirs []metric.Event) {
	t.Helper()
	b.tellUs(ours)
	for _, err := range b.tellThem(t, theirs) {
		t.Fatal(err)
	}
}

func (b *beside) tellUs(events []metric.Event) {
	table := make(aggregate.Table)
	for _, e := range events {
		name := b.names.Of(e.Metric, e.Tags.AppendKey(nil), 0)
		e.AddTo(table.Row(aggregate.Div(e.Time, sliceMs)).Acc(name), b.needs, e.Time)
	}
	b.store.Merge(table)
}

func (b *beside) tellThem(t *testing.T, events []metric.Event) (refused []error) {
	t.Helper()
	app := b.db.AppenderV2(t.Context())
	for _, e := range events {
		ls := []string{"__name__", e.Metric}
		for _, tag := range e.Tags {
			ls = append(ls, tag.Key, tag.Value)
		}
		v := e.Value
		if e.Stale {
			v = math.Float64frombits(value.StaleNaN)
		}
		if _, err := app.Append(0, labels.FromStrings(ls...), e.Start, e.Time, v, nil, nil, storage.AOptions{}); err != nil {
			refused = append(refused, err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return refused
}

// answer is the value of one group for a window, and how many events it has of it.
type answer struct {
	value float64
	count int64
}

// ours are the values of a query for the window that ends at end, epoch ms, by group.
func (b *beside) ours(t *testing.T, q metric.Query, end int64) map[string]answer {
	t.Helper()
	if inner, ok := q.OfBuckets(); ok {
		return b.ofBuckets(t, q, inner, end)
	}
	named, ok := aggregate.Named(string(q.Aggregation))
	if of, outOf, is := q.Aggregation.Percentile(); is {
		named, ok = aggregate.Aggregation{Extract: aggregate.Percentile(of, outOf), Needs: aggregate.NeedSketch}, true
	}
	if !ok {
		t.Fatalf("there is no %s", q.Aggregation)
	}
	got := make(map[string]answer)
	b.window(q, named.Needs, end, func(tags metric.Tags, a *aggregate.Acc) {
		if v, ok := named.Over(q.WindowSeconds, q.First == metric.FirstCounts)(a); ok {
			got[groupOf(q.GroupBy, tags.Get)] = answer{v, a.Count}
		}
	})
	return got
}

// ofBuckets are the values of a query of the distribution of a classic histogram, of which a heat map's is how many there are.
func (b *beside) ofBuckets(t *testing.T, q, inner metric.Query, end int64) map[string]answer {
	t.Helper()
	histograms := make(map[string]*aggregate.Buckets)
	b.window(inner, aggregate.NeedGrowth, end, func(tags metric.Tags, a *aggregate.Acc) {
		outer, bound, ok := tags.CutBound()
		key := groupOf(q.GroupBy, outer.Get)
		if histograms[key] == nil {
			histograms[key] = new(aggregate.Buckets)
		}
		if !ok || !histograms[key].Counted(bound, a) {
			t.Errorf("%s: %v is no bucket", q.Key(), tags)
		}
	})
	got := make(map[string]answer)
	for key, h := range histograms {
		total, _ := h.Total()
		v, ok := total, total > 0
		if of, outOf, is := q.Aggregation.Percentile(); is {
			v, _, ok = h.Percentile(of, outOf)
		}
		if ok {
			got[key] = answer{v, int64(total)}
		}
	}
	return got
}

// window visits the groups of a query's window.
func (b *beside) window(q metric.Query, needs aggregate.Needs, end int64, visit func(metric.Tags, *aggregate.Acc)) {
	id := q.Selector()
	if b.store.Selector(q.Metric, id) == nil { // From now on its trees are fed.
		build := b.store.Build(q.Metric, id, keptSlices, keptSlices, b.needs, func(key string) (string, bool) {
			tags, err := metric.ParseTagsKey(key)
			return string(tags.Pick(q.GroupBy).AppendKey(nil)), err == nil && q.Filter.Match(tags)
		})
		build.Run(nil, nil)
		b.store.Adopt(build)
	}
	w := aggregate.Range{From: end/sliceMs - int64(q.WindowSeconds), To: end / sliceMs}
	b.store.Selector(q.Metric, id).Window(w, needs, func(group string, a *aggregate.Acc) {
		tags, _ := metric.ParseTagsKey(group) // AppendKey has written it.
		visit(tags, a)
	})
}

// theirs are the values of a query in PromQL at a time, epoch ms, by group. lookback is how old the value of a series
// may be that is asked for without a range.
func (b *beside) theirs(t *testing.T, by []string, expr string, at int64, lookback time.Duration) map[string]float64 {
	t.Helper()
	vector, err := b.vector(t, expr, at, lookback)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	got := make(map[string]float64)
	for _, s := range vector {
		got[groupOf(by, s.labels.Get)] = s.value
	}
	return got
}

// labelled is a value of theirs.
type labelled struct {
	labels labels.Labels
	value  float64
}

func (b *beside) vector(t *testing.T, expr string, at int64, lookback time.Duration) (all []labelled, err error) {
	t.Helper()
	q, err := b.engine.NewInstantQuery(t.Context(), b.db, promql.NewPrometheusQueryOpts(false, lookback, nil), expr, time.UnixMilli(at))
	if err != nil {
		return nil, err
	}
	defer q.Close()
	vector, err := q.Exec(t.Context()).Vector()
	for _, s := range vector {
		all = append(all, labelled{labels: s.Metric, value: s.F})
	}
	slices.SortFunc(all, func(a, b labelled) int { return labels.Compare(a.labels, b.labels) })
	return all, err
}

// separator stands in no value of a tag here.
const separator = "|"

func groupOf(by []string, get func(string) string) string {
	values := make([]string, len(by))
	for i, tag := range by {
		values[i] = get(tag)
	}
	return strings.Join(values, separator)
}

// promQL is the query in PromQL.
func promQL(q metric.Query) string {
	sum, each := "sum", fmt.Sprintf("%s_over_time(%s[%ds])", q.Aggregation, q.Metric, q.WindowSeconds)
	switch name := string(q.Aggregation); name {
	case "increase", "rate":
		each = fmt.Sprintf("%s(%s[%ds] anchored)", name, q.Metric, q.WindowSeconds)
	case "last":
		return each // Of each series: nothing else says what ours is of several.
	case "min", "max":
		sum = name
	case "last_sum", "last_avg", "last_min", "last_max", "last_count":
		sum, each = strings.TrimPrefix(name, "last_"), q.Metric // With the window as lookback.
	}
	return fmt.Sprintf("%s by (%s) (%s)", sum, strings.Join(q.GroupBy, ", "), each)
}
