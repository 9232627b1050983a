package gateway

import (
	"math"
	"slices"

	"pulseboard/metric"
)

// seriesList is the ordered list of series that a series_version names.
type seriesList struct {
	version string
	tags    []metric.Tags
}

// point is one result as the stream sends it. It is never changed.
// There are hundreds of each widget: a gateway's memory is theirs.
type point struct {
	end, start int64
	newest     int64 // newest_event, or noTime.
	list       *seriesList
	values     []float64 // In the order of list; NaN = absent.
	truncated  int32     // Series that did not leave the pipeline: those with lower values.
	complete   bool
	filled     bool // Read from the history after newer ones were sent: no message told of it in time.
}

// The values of so many series fit a frame, however long each is. From the
// pipeline come at most metric.MaxSeries; of what is beyond, only the number is told.
const maxSeries = 8000

// noTime stands for a time that is absent.
const noTime = math.MinInt64

// newPoint takes r's values. known is a list that is likely to be that of r and
// is shared then.
func newPoint(r *metric.Result, known *seriesList, filled bool) point {
	series, truncated := r.Series, r.Truncated
	if n := len(series) - maxSeries; n > 0 {
		series, truncated = series[:maxSeries], truncated+n
	}
	p := point{end: r.WindowEnd, start: r.WindowStart, newest: noTime, complete: r.Complete, filled: filled, list: known, truncated: int32(min(truncated, math.MaxInt32))}
	if r.NewestEvent != nil {
		p.newest = *r.NewestEvent
	}
	if known == nil || known.version != r.SeriesVersion || !sameSeries(known.tags, series) {
		tags := make([]metric.Tags, len(series))
		for i := range series {
			tags[i] = series[i].Tags
		}
		p.list = &seriesList{version: r.SeriesVersion, tags: tags}
	}
	p.values = make([]float64, len(series))
	for i := range series {
		p.values[i] = math.NaN()
		if v := series[i].Value; v != nil {
			p.values[i] = *v
		}
	}
	return p
}

func sameSeries(tags []metric.Tags, series []metric.SeriesValue) bool {
	return slices.EqualFunc(tags, series, func(t metric.Tags, s metric.SeriesValue) bool { return t.Compare(s.Tags) == 0 })
}

// sameValues compares values as JSON shows them.
func sameValues(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) })
}

// coveredSince returns the lowest start from which on all points are complete.
// Readers that know only the length of the window compare with end − window,
// so that this is a bound for both.
func coveredSince(points []point, windowMs int64) int64 {
	since := int64(0)
	for i := len(points) - 1; i >= 0; i-- {
		p := &points[i]
		if !p.complete {
			return max(since, p.start+1, p.end-windowMs+1)
		}
		since = min(p.start, p.end-windowMs)
	}
	return since
}

// same reports whether both lists have the same series in the same order.
func (l *seriesList) same(o *seriesList) bool {
	return slices.EqualFunc(l.tags, o.tags, func(a, b metric.Tags) bool { return a.Compare(b) == 0 })
}

// union is the series of a snapshot: those of the newest point in its order,
// then those that only older points have.
type union struct {
	list    *seriesList
	columns map[string]int // By the tags' key; nil when all points have the list.
}

// The series_version of a snapshot without points.
const noSeries = "0"

func newUnion(points []point) union {
	if len(points) == 0 {
		return union{list: &seriesList{version: noSeries}}
	}
	u := union{list: points[len(points)-1].list}
	newest, last := u.list, u.list
	var more []metric.Tags
	for i := range points {
		l := points[i].list
		if l == last || l == newest {
			continue
		}
		if last = l; !l.same(newest) {
			more = u.add(l, more)
		}
	}
	if len(more) > 0 {
		// A list of its own, and a version of its own: the next update must be preceded by its series.
		u.list = &seriesList{version: unionVersion(newest, more), tags: slices.Concat(newest.tags, more)}
	}
	return u
}

// add appends those of l's series to more that the union does not have yet.
func (u *union) add(l *seriesList, more []metric.Tags) []metric.Tags {
	if u.columns == nil {
		u.columns = make(map[string]int, len(u.list.tags)+len(l.tags))
		for i, t := range u.list.tags {
			u.columns[string(t.AppendKey(nil))] = i
		}
	}
	var key []byte
	for _, t := range l.tags {
		key = t.AppendKey(key[:0])
		if _, ok := u.columns[string(key)]; !ok {
			u.columns[string(key)] = len(u.columns)
			more = append(more, t)
		}
	}
	return more
}

// row returns p's values in the order of the union.
func (u *union) row(p *point, row []float64) []float64 {
	if u.columns == nil {
		return append(row[:0], p.values...)
	}
	row = row[:0]
	for range u.list.tags {
		row = append(row, math.NaN())
	}
	var key []byte
	for i, t := range p.list.tags {
		key = t.AppendKey(key[:0])
		row[u.columns[string(key)]] = p.values[i]
	}
	return row
}
