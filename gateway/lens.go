package gateway

import (
	"encoding/json"
	"slices"
)

// choice is what a client chose: for variables by their name, the values to be shown.
type choice map[string][]string

// parseChoice reads vars of a hello: a value, or several, for each name. What is
// neither is no choice.
func parseChoice(raw map[string]json.RawMessage) choice {
	c := make(choice, len(raw))
	for name, text := range raw {
		var one string
		var many []string
		if json.Unmarshal(text, &one) == nil {
			many = []string{one}
		} else if json.Unmarshal(text, &many) != nil {
			continue
		}
		c.add(name, many...)
	}
	return c
}

// add adds values; the empty one stands for all.
func (c choice) add(name string, values ...string) {
	if values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" }); len(values) > 0 {
		c[name] = append(c[name], values...)
	}
}

// lenses are those of l's widgets; nil when all show everything.
func (c choice) lenses(l *layout) []*lens {
	var all []*lens
	for i, w := range l.widgets {
		var conditions []condition
		for _, v := range l.variables {
			if values := c[v.Name]; len(values) > 0 && slices.Contains(w.query.GroupBy, v.Tag) {
				conditions = append(conditions, condition{v.Tag, values})
			}
		}
		if len(conditions) == 0 {
			continue
		}
		if all == nil {
			all = make([]*lens, len(l.widgets))
		}
		all[i] = &lens{conditions: conditions}
	}
	return all
}

type condition struct {
	tag    string
	values []string
}

// lens shows some of a grouped widget's series. It makes no query: all of them
// are here anyway.
type lens struct {
	conditions []condition
	from, to   *seriesList // The list that was seen last, and what is shown of it.
	columns    []int
}

// equal reports whether both show the same series of a list.
func (l *lens) equal(o *lens) bool {
	if l == nil || o == nil {
		return l == o
	}
	return slices.EqualFunc(l.conditions, o.conditions, func(a, b condition) bool { return a.tag == b.tag && slices.Equal(a.values, b.values) })
}

func (l *lens) see(points []point) []point {
	shown := make([]point, len(points))
	for i := range points {
		p := points[i]
		if p.list != l.from {
			l.choose(p.list)
		}
		values := make([]float64, len(l.columns))
		for to, from := range l.columns {
			values[to] = p.values[from]
		}
		p.list, p.values = l.to, values
		shown[i] = p
	}
	return shown
}

// choose finds the series of list that are shown. Their version names the whole
// list, of which they are the same part each time.
func (l *lens) choose(list *seriesList) {
	l.from, l.to, l.columns = list, &seriesList{version: list.version}, l.columns[:0]
	for i, tags := range list.tags {
		if !slices.ContainsFunc(l.conditions, func(c condition) bool { return !slices.Contains(c.values, tags.Get(c.tag)) }) {
			l.to.tags = append(l.to.tags, tags)
			l.columns = append(l.columns, i)
		}
	}
}
