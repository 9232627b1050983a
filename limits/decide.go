package limits

import (
	"cmp"
	"math"
	"slices"

	"pulseboard/wire"
)

// Decision is which queries are cut, and what the others use.
type Decision struct {
	Cut  map[string]Cut // By metric key.
	Used []Use          // The highest parts of their budgets first.
}

// again is the part of a budget that a query must fit into to be computed again:
// what was cut does not come back with each series that goes.
const again = 0.9

// maxUses is how many uses a report has.
const maxUses = 100

// Decide says which queries are cut. It depends on the queries and on what was
// cut before, not on their order or age: each dashboard's narrowest queries come
// first, and of all dashboards and tokens those that use less, so that what wants
// too much loses to what does not. Equals are ordered by their key.
func Decide(queries []Query, b Budgets, before map[string]Cut) Decision {
	d := decider{budgets: b, used: make(map[subject]*Amounts), spans: make(map[[2]string]int64)}
	out := Decision{Cut: make(map[string]Cut)}
	for _, q := range d.order(queries) {
		_, was := before[q.Key]
		if cut, ok := d.admit(q, was); !ok {
			if was {
				cut.SinceMs = before[q.Key].SinceMs
			}
			out.Cut[q.Key] = cut
		}
	}
	out.Used = d.uses()
	return out
}

type subject struct {
	scope Scope
	name  string
}

type decider struct {
	budgets Budgets
	used    map[subject]*Amounts
	spans   map[[2]string]int64 // How far the trees of a selector reach that were admitted.
}

// order sorts queries by what their dashboard, then its token, has used before them.
func (d *decider) order(queries []Query) []*Query {
	qs := make([]*Query, len(queries))
	part := make(map[*Query]float64, len(queries))
	total := d.budgets.Total
	for i := range queries {
		q := &queries[i]
		qs[i] = q
		for r, x := range q.Cost() {
			part[q] = max(part[q], x/max(total[r], 1))
		}
	}
	// Widths that differ by little are the same: else a series more or less would change who is cut.
	class := func(q *Query) float64 { return math.Ceil(2 * math.Log2(max(part[q], 1e-12))) }
	slices.SortFunc(qs, func(a, b *Query) int { return cmp.Or(cmp.Compare(class(a), class(b)), cmp.Compare(a.Key, b.Key)) })
	accumulate := func(names func(*Query) []string) {
		sums, ranks := make(map[string]float64), make(map[*Query]float64, len(qs)) // Of several owners the lowest sum counts.
		for _, q := range qs {
			ranks[q] = math.Inf(1)
			for _, name := range names(q) {
				sums[name] += part[q]
				ranks[q] = min(ranks[q], sums[name])
			}
		}
		slices.SortStableFunc(qs, func(a, b *Query) int { return cmp.Compare(ranks[a], ranks[b]) })
	}
	accumulate(func(q *Query) []string { return q.names(func(o wire.Owner) string { return o.Dashboard }) })
	accumulate(func(q *Query) []string {
		return q.names(func(o wire.Owner) string {
			if o.Token == "" {
				return "d" + o.Dashboard // Without tokens each dashboard is by itself.
			}
			return "t" + o.Token
		})
	})
	return qs
}

func (q *Query) names(of func(wire.Owner) string) []string {
	names := make([]string, 0, len(q.Owners)+1)
	for _, o := range q.Owners {
		if name := of(o); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		names = append(names, "")
	}
	return names
}

// admit charges a query to those who pay for it, or says which budget it goes
// beyond. Of several owners the first that has room pays.
func (d *decider) admit(q *Query, was bool) (cut Cut, ok bool) {
	cost := q.Cost()
	selector := [2]string{q.Metric, q.Selector}
	reach := d.spans[selector]
	cost[Trees] = max(0, q.treeBytes(max(reach, q.SpanSlices))-q.treeBytes(reach))
	owners := q.Owners
	if len(owners) == 0 {
		owners = []wire.Owner{{}}
	}
	shared := []subject{{Process, ""}, {Metric, q.Metric}}
	var first *Cut
	for _, o := range owners {
		payers := append([]subject{{Dashboard, o.Dashboard}}, shared...)
		if o.Token != "" {
			payers = append(payers, subject{Token, o.Token})
		}
		if over := d.over(q, payers, cost, was); over != nil {
			if first == nil {
				first = over
			}
			continue
		}
		for _, p := range payers {
			d.account(p).add(cost)
		}
		d.spans[selector] = max(reach, q.SpanSlices)
		return cut, true
	}
	return *first, false
}

func (d *decider) account(s subject) *Amounts {
	a := d.used[s]
	if a == nil {
		a = new(Amounts)
		d.used[s] = a
	}
	return a
}

// over returns the budget that would be exceeded most.
func (d *decider) over(q *Query, payers []subject, cost Amounts, was bool) *Cut {
	var worst *Cut
	for _, p := range payers {
		limits := d.budgets.Of(p.scope)
		for r, used := range *d.account(p) {
			limit := limits[r]
			if was {
				limit *= again
			}
			used += cost[r]
			if cost[r] == 0 || used <= limit {
				continue
			}
			if worst == nil || used/limits[r] > worst.Used/worst.Limit {
				worst = &Cut{Key: q.Key, Scope: p.scope, Name: p.name, Resource: Resource(r), Used: used, Limit: limits[r]}
			}
		}
	}
	return worst
}

func (d *decider) uses() []Use {
	var out []Use
	for s, used := range d.used {
		limits := d.budgets.Of(s.scope)
		for r, n := range used {
			if n > 0 {
				out = append(out, Use{s.scope, s.name, Resource(r), n, limits[r]})
			}
		}
	}
	slices.SortFunc(out, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.Used/b.Limit, a.Used/a.Limit), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Resource, b.Resource))
	})
	return out[:min(len(out), maxUses)]
}
