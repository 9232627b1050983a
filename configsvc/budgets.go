package configsvc

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"pulseboard/catalog"
	"pulseboard/internal/clock"
	"pulseboard/internal/httpapi"
	"pulseboard/limits"
	"pulseboard/metric"
)

// LimitsReader reads the budgets that the pipeline reports. A *registry.Store is one.
type LimitsReader interface {
	LoadLimits(ctx context.Context) ([]limits.Report, error)
}

const reportsEvery = 2 * time.Second

// followReports keeps the newest reports of the pipeline, until ctx ends.
func (s *Service) followReports(ctx context.Context) {
	for range clock.Every(ctx, reportsEvery) {
		s.readReports(ctx)
	}
}

func (s *Service) readReports(ctx context.Context) {
	if s.limits == nil {
		return
	}
	reports, err := s.limits.LoadLimits(ctx)
	if err != nil {
		s.log.Debug("what the pipeline says of its budgets cannot be read", "error", err)
		return // The reports from before stay.
	}
	s.reports.Store(&reports)
}

// budgets are those of the largest process of the pipeline; ok is false while none is known.
func (s *Service) budgets() (b limits.Budgets, ok bool) {
	reports := s.reports.Load()
	if reports == nil {
		return b, false
	}
	for i := range *reports {
		if r := &(*reports)[i]; !ok || r.Total[limits.Trees] > b.Total[limits.Trees] {
			b, ok = r.Budgets(), true
		}
	}
	return b, ok
}

// GetLimits answers GET /limits.
func (a api) GetLimits(c *gin.Context) {
	a.readReports(c.Request.Context())
	b, ok := a.budgets()
	if !ok {
		c.Header("Retry-After", "2")
		httpapi.Fail(c, http.StatusServiceUnavailable, "the pipeline has not said what its budgets are: try again in a moment; if it stays so, check that Redis and the pipeline run")
		return
	}
	out := Limits{DashboardShare: b.Share, Budgets: []limits.Use{}, Used: []limits.Use{}, Cut: []LimitCut{}}
	for _, scope := range []limits.Scope{limits.Dashboard, limits.Metric, limits.Token, limits.Process} {
		for r, limit := range b.Of(scope) {
			out.Budgets = append(out.Budgets, limits.Use{Scope: scope, Resource: limits.Resource(r), Limit: limit})
		}
	}
	keys := make(map[string]bool)
	for _, r := range *a.reports.Load() {
		out.Used = append(out.Used, r.Used...)
		for _, cut := range r.Cut {
			keys[cut.Key] = true
		}
	}
	widgets := a.publisher.derived.widgetsOf(keys)
	for _, r := range *a.reports.Load() {
		for _, cut := range r.Cut {
			out.Cut = append(out.Cut, LimitCut{
				cut.Key, cut.Scope, cut.Name, cut.Resource, cut.Used, cut.Limit, time.UnixMilli(cut.SinceMs).UTC(), cut.Text(), append([]LimitedWidget{}, widgets[cut.Key]...),
			})
		}
	}
	slices.SortFunc(out.Cut, func(x, y LimitCut) int { return cmp.Compare(x.MetricKey, y.MetricKey) })
	c.Header("Cache-Control", "no-cache")
	c.JSON(http.StatusOK, out)
}

// tagBytes is about how many bytes the tags of a resulting series take.
const tagBytes = 30

// needs is what the pipeline would need for a dashboard. width returns how many series
// a result has; metrics that are not in the catalog count as one series.
func (s *Service) needs(d Dashboard, width func(metric.Query, catalog.Entry) int) limits.Amounts {
	queries := make([]limits.Query, 0, len(d.Widgets))
	for _, w := range d.Widgets {
		q := w.Query()
		size := limits.Size{Groups: 1, KeyBytes: tagBytes}
		if m, known := s.metrics.Metric(q.Metric); known {
			size.Groups = width(q, m)
		}
		queries = append(queries, limits.NewQuery(q, []int64{s.rules.raise(w.RefreshMs())}, nil, size, s.rules.SliceMs))
	}
	return limits.Sum(queries)
}

// certain is how many series a result has at least, by the catalog: the values of the
// group_by tag with the most of them that the filter lets through. With conditions on
// other tags nothing is certain.
func certain(q metric.Query, m catalog.Entry) int {
	for _, t := range q.Filter {
		if !slices.Contains(q.GroupBy, t.Tag) {
			return 1
		}
	}
	if len(q.GroupBy) > 1 && len(q.Filter) > 0 {
		return 1 // Which combinations of values occur is not known.
	}
	most := 1
	for _, tag := range q.GroupBy {
		i := slices.IndexFunc(m.Tags, func(t catalog.Tag) bool { return t.Key == tag })
		if i < 0 {
			continue
		}
		n := 0
		for _, v := range m.Tags[i].Values {
			if lets(q.Filter, tag, v) {
				n++
			}
		}
		if lets(q.Filter, tag, "\x00") { // Stands for any value that the filter does not name.
			n += max(0, m.Tags[i].More-maxFilterValues)
		}
		most = max(most, n)
	}
	return min(most, max(1, m.Series))
}

// affordable finds out whether a dashboard fits into a dashboard's budget. What
// certainly does not is a fault, unless the dashboard needed as much before:
// metrics grow under dashboards, and their titles must stay changeable. What
// may not is a warning.
func (s *Service) affordable(ctx context.Context, d Dashboard, f *faults) {
	b, ok := s.budgets()
	if !ok {
		return
	}
	budget := b.Of(limits.Dashboard)
	least, most := s.needs(d, certain), s.needs(d, groups)
	var before limits.Amounts
	for r, n := range least {
		if n > budget[r] {
			if old, err := s.store.Get(ctx, d.ID); err == nil {
				before = s.needs(old, certain)
			}
			break
		}
	}
	for i, limit := range budget {
		r := limits.Resource(i)
		switch {
		case least[i] > limit && least[i] > before[i]:
			f.add("/widgets", codeBudget, "the dashboard would need %s: a dashboard may have %s; group by fewer tags, filter, refresh less often, or make fewer widgets",
				limits.Amount(r, least[i]), limits.Amount(r, limit))
		case most[i] > limit:
			f.warn("/widgets", "the dashboard may need %s: a dashboard may have %s, and widgets beyond it are not computed; see GET /limits",
				limits.Amount(r, most[i]), limits.Amount(r, limit))
		}
	}
}

// budgetCosts is what a dashboard would need, beside what one may have.
func (s *Service) budgetCosts(d Dashboard) []BudgetCost {
	out := []BudgetCost{}
	least, most := s.needs(d, certain), s.needs(d, groups)
	b, known := s.budgets()
	for i := range most {
		c := BudgetCost{Resource: fmt.Sprint(limits.Resource(i)), Least: least[i], Most: most[i]}
		if known {
			c.Limit = new(b.Of(limits.Dashboard)[i])
		}
		out = append(out, c)
	}
	return out
}
