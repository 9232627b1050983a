package wire

import (
	"hash/fnv"
	"math"
	"slices"
	"strconv"

	"pulseboard/metric"
)

// SeriesList is the ordered list of series that a series_version names.
type SeriesList struct {
	Version string
	Tags    []metric.Tags
}

// Point is one result as the stream sends it. It is never changed. A gateway keeps
// hundreds of each widget: its memory is theirs.
type Point struct {
	End, Start int64
	Newest     int64 // newest_event, or NoTime.
	List       *SeriesList
	Values     Values
	Truncated  int32   // Series that did not leave the pipeline: those with lower values.
	Error      float32 // See Result.
	Complete   bool
	Backfilled bool // Not on the wire: read from the history after newer points were sent.
}

// MaxStreamSeries bounds the series of a point, so that their values fit a message
// however long each is. From the pipeline come at most MaxSeries.
const MaxStreamSeries = 8000

// MaxStreamDistributions is the same of distributions.
const MaxStreamDistributions = 64

// NoTime stands for a time that is absent.
const NoTime = math.MinInt64

// NoSeries is the series_version of a snapshot without points.
const NoSeries = "0"

// NewPoint takes r's values. known is a list that is likely to be that of r and
// is shared then.
func NewPoint(r *Result, known *SeriesList, backfilled bool) Point {
	series, truncated, most := r.Series, r.Truncated, MaxStreamSeries
	if slices.ContainsFunc(series, func(s SeriesValue) bool { return s.Bins != nil }) {
		most = MaxStreamDistributions
	}
	if n := len(series) - most; n > 0 {
		series, truncated = series[:most], truncated+n
	}
	p := Point{
		End: r.WindowEnd, Start: r.WindowStart, Newest: NoTime, Complete: r.Complete, Backfilled: backfilled,
		List: known, Truncated: int32(min(truncated, math.MaxInt32)), Error: float32(r.Error),
	}
	if r.NewestEvent != nil {
		p.Newest = *r.NewestEvent
	}
	if known == nil || known.Version != r.SeriesVersion || !sameSeries(known.Tags, series) {
		tags := make([]metric.Tags, len(series))
		for i := range series {
			tags[i] = series[i].Tags
		}
		p.List = &SeriesList{Version: r.SeriesVersion, Tags: tags}
	}
	p.Values = newValues(series)
	return p
}

func sameSeries(tags []metric.Tags, series []SeriesValue) bool {
	return slices.EqualFunc(tags, series, func(t metric.Tags, s SeriesValue) bool { return t.Compare(s.Tags) == 0 })
}

// CoveredSince returns the lowest start from which on all points are complete.
// Readers that know only the length of the window compare with end − window,
// so that this is a bound for both.
func CoveredSince(points []Point, windowMs int64) int64 {
	since := int64(0)
	for i := len(points) - 1; i >= 0; i-- {
		p := &points[i]
		if !p.Complete {
			return max(since, p.Start+1, p.End-windowMs+1)
		}
		since = min(p.Start, p.End-windowMs)
	}
	return since
}

// same reports whether both lists have the same series in the same order.
func (l *SeriesList) same(o *SeriesList) bool {
	return slices.EqualFunc(l.Tags, o.Tags, func(a, b metric.Tags) bool { return a.Compare(b) == 0 })
}

// union is the series of a snapshot: those of the newest point in its order,
// then those that only older points have.
type union struct {
	list    *SeriesList
	columns map[string]int // By the tags' key; nil when all points have the list.
}

func newUnion(points []Point) union {
	if len(points) == 0 {
		return union{list: &SeriesList{Version: NoSeries}}
	}
	u := union{list: points[len(points)-1].List}
	newest, last := u.list, u.list
	var more []metric.Tags
	for i := range points {
		l := points[i].List
		if l == last || l == newest {
			continue
		}
		if last = l; !l.same(newest) {
			more = u.add(l, more)
		}
	}
	if len(more) > 0 {
		// A list of its own, and a version of its own: the next update must be preceded by its series.
		u.list = &SeriesList{Version: unionVersion(newest, more), Tags: slices.Concat(newest.Tags, more)}
	}
	return u
}

// add appends those of l's series to more that the union does not have yet.
func (u *union) add(l *SeriesList, more []metric.Tags) []metric.Tags {
	if u.columns == nil {
		u.columns = make(map[string]int, len(u.list.Tags)+len(l.Tags))
		for i, t := range u.list.Tags {
			u.columns[string(t.AppendKey(nil))] = i
		}
	}
	var key []byte
	for _, t := range l.Tags {
		key = t.AppendKey(key[:0])
		if _, ok := u.columns[string(key)]; !ok {
			u.columns[string(key)] = len(u.columns)
			more = append(more, t)
		}
	}
	return more
}

// appendRow writes p's values in the order of the union. row is used again.
func (u *union) appendRow(b []byte, p *Point, row []int) ([]byte, []int) {
	if u.columns == nil {
		return p.Values.append(b), row
	}
	row = row[:0]
	for range u.list.Tags {
		row = append(row, -1)
	}
	var key []byte
	for i, t := range p.List.Tags {
		key = t.AppendKey(key[:0])
		row[u.columns[string(key)]] = i
	}
	b = append(b, '[')
	for _, i := range row {
		if b = comma(b); i < 0 {
			b = append(b, "null"...)
		} else {
			b = p.Values.appendAt(b, i, p.Values.Numbers[i])
		}
	}
	return append(b, ']'), row
}

// unionVersion names the list that begins like l and has these series more. The
// prefix keeps it apart from the versions that the pipeline gives.
func unionVersion(l *SeriesList, more []metric.Tags) string {
	h := fnv.New64a()
	// A hash takes any bytes.
	_, _ = h.Write([]byte(l.Version))
	var key []byte
	for _, t := range more {
		key = t.AppendKey(key[:0])
		_, _ = h.Write(key)
	}
	return "u" + strconv.FormatUint(h.Sum64(), 36)
}
