package rooms

import (
	"slices"

	"pulseboard/wire"
)

// Choice is what a client chose: for variables by their name, the values to be shown.
type Choice map[string][]string

// Add adds values; the empty one stands for all.
func (c Choice) Add(name string, values ...string) {
	if values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" }); len(values) > 0 {
		c[name] = append(c[name], values...)
	}
}

// filters are those of l's widgets; nil when all show everything.
func (c Choice) filters(l *Layout) []*seriesFilter {
	var all []*seriesFilter
	for i, w := range l.widgets {
		var conditions []condition
		for _, v := range l.variables {
			if values := c[v.Name]; len(values) > 0 && slices.Contains(w.GroupBy, v.Tag) {
				conditions = append(conditions, condition{v.Tag, values})
			}
		}
		if len(conditions) == 0 {
			continue
		}
		if all == nil {
			all = make([]*seriesFilter, len(l.widgets))
		}
		all[i] = &seriesFilter{conditions: conditions}
	}
	return all
}

type condition struct {
	tag    string
	values []string
}

// seriesFilter shows some of a grouped widget's series. It makes no query: all of them
// are in the feed anyway.
type seriesFilter struct {
	conditions []condition
	from, to   *wire.SeriesList // The list that was seen last, and what is shown of it.
	columns    []int
}

// equal reports whether both show the same series of a list.
func (f *seriesFilter) equal(o *seriesFilter) bool {
	if f == nil || o == nil {
		return f == o
	}
	return slices.EqualFunc(f.conditions, o.conditions, func(a, b condition) bool { return a.tag == b.tag && slices.Equal(a.values, b.values) })
}

func (f *seriesFilter) see(points []wire.Point) []wire.Point {
	shown := make([]wire.Point, len(points))
	for i := range points {
		p := points[i]
		if p.List != f.from {
			f.choose(p.List)
		}
		p.List, p.Values = f.to, p.Values.Pick(f.columns)
		shown[i] = p
	}
	return shown
}

// choose finds the series of list that are shown. Their version names the whole
// list, of which they are the same part each time.
func (f *seriesFilter) choose(list *wire.SeriesList) {
	f.from, f.to, f.columns = list, &wire.SeriesList{Version: list.Version}, f.columns[:0]
	for i, tags := range list.Tags {
		if !slices.ContainsFunc(f.conditions, func(c condition) bool { return !slices.Contains(c.values, tags.Get(c.tag)) }) {
			f.to.Tags = append(f.to.Tags, tags)
			f.columns = append(f.columns, i)
		}
	}
}
