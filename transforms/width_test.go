package transforms

import (
	"fmt"
	"testing"

	"pulseboard/limits"
	"pulseboard/metric"
)

// What a query is said to need of trees is about what they take; how wide it
// is, is known of selectors in use, and counted of others.
func TestWidthsAndTheirCost(t *testing.T) {
	const series, slices = 50, 200
	d := demand(metric.Avg, 60, 1000)
	d.Query.GroupBy = []string{"host"}
	bytes := func(demands ...Demand) (*host, int64) {
		h := newHost(t, demands...)
		for i := range slices {
			var events []string
			for j := range series {
				events = append(events, fmt.Sprintf("%d=%d h%02d", 100+i, j, j))
			}
			if i == 0 {
				h.begin(events[0])
			}
			h.slice(events...)
		}
		return h, h.k.store.Bytes()
	}
	with, a := bytes(d)
	_, b := bytes()
	other := d.Query
	other.Filter, _ = metric.NewFilter(metric.Term{Tag: "host", Op: metric.NotEqual, Values: []string{"h07"}})
	unknown := metric.Query{Metric: "none", Aggregation: metric.Avg, WindowSeconds: 1}
	ws := with.groups.Widths([]metric.Query{d.Query, other, unknown}, 1)
	if w := ws[0]; !w.Known || w.Size.Groups != series || w.Series != series {
		t.Errorf("in use: %+v", w)
	}
	if w := ws[1]; w.Known || w.Series != series {
		t.Errorf("not in use: %+v", w)
	}
	if w := ws[2]; !w.Known || w.Size.Groups != 0 {
		t.Errorf("no series: %+v", w)
	}
	if w := with.groups.CountWidth(other, 1); !w.Known || w.Size.Groups != series-1 {
		t.Errorf("counted: %+v", w)
	}
	q := limits.NewQuery(d.Query, d.RefreshMs, nil, ws[0].Size, 1000)
	model, taken := q.Cost()[limits.Trees], float64(a-b)
	if model < taken/2 || model > 3*taken {
		t.Errorf("the trees take %.0f bytes, the model says %.0f", taken, model)
	}
}
