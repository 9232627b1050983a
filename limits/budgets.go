package limits

import "fmt"

// Scope is whom a budget is of.
type Scope string

// The scopes.
const (
	Dashboard Scope = "dashboard"
	Metric    Scope = "metric"
	Token     Scope = "token"   // Whose token changed a dashboard last, where tokens are asked for.
	Process   Scope = "process" // One process of the pipeline: what all share.
)

// Budgets is what a process of the pipeline has, and the part of it that a dashboard may have.
type Budgets struct {
	Total Amounts
	Share float64
}

// DefaultShare is a dashboard's part of everything.
const DefaultShare = 0.25

// unknownRedis is what a Redis is taken for that does not say what it may take.
const unknownRedis = 2 << 30

// perProcessor is how many values a second a processor may compute: a third of what it could.
const perProcessor = 100_000

// NewBudgets returns the budgets of a process that may hold stateBytes, of a
// Redis that may hold redisBytes, 0 = not known. Half of both is left: for the
// slices themselves, and for whatever else is in Redis.
func NewBudgets(stateBytes, redisBytes int64, processors int, share float64) Budgets {
	if redisBytes <= 0 {
		redisBytes = unknownRedis
	}
	return Budgets{Total: Amounts{float64(stateBytes) / 2, float64(redisBytes) / 2, perProcessor * float64(processors)}, Share: share}
}

// Of returns what one of a scope may have: a metric and a token twice what a dashboard may.
func (b Budgets) Of(s Scope) Amounts {
	share := b.Share
	switch s {
	case Metric, Token:
		share *= 2
	case Process:
		share = 1
	case Dashboard:
	}
	out := b.Total
	for r := range out {
		out[r] *= min(share, 1)
	}
	return out
}

// Cut is a query that is not computed, and why.
type Cut struct {
	Key      string   `json:"metric_key"`
	Scope    Scope    `json:"budget"`
	Name     string   `json:"of"` // The dashboard, metric or token; "" of a process.
	Resource Resource `json:"resource"`
	Used     float64  `json:"used"` // What would be used with it.
	Limit    float64  `json:"limit"`
	SinceMs  int64    `json:"since_ms"`
}

// Text is the reason for people.
func (c *Cut) Text() string {
	whose := map[Scope]string{
		Dashboard: "its dashboard", Metric: "the metric " + c.Name, Token: "the token " + c.Name, Process: "all dashboards",
	}[c.Scope]
	return fmt.Sprintf("not computed: with it %s would need %s, the budget is %s; group by fewer tags, filter, refresh less often, or delete widgets",
		whose, Amount(c.Resource, c.Used), Amount(c.Resource, c.Limit))
}

// Amount is a number of a resource for people.
func Amount(r Resource, n float64) string {
	switch {
	case r == Evaluations:
		return fmt.Sprintf("%.0f values a second", n)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB of %s", n/(1<<30), r)
	}
	return fmt.Sprintf("%.1f MiB of %s", n/(1<<20), r)
}

// Use is what one of a scope uses.
type Use struct {
	Scope    Scope    `json:"budget"`
	Name     string   `json:"of"`
	Resource Resource `json:"resource"`
	Used     float64  `json:"used"`
	Limit    float64  `json:"limit"`
}

// Report is what a process of the pipeline says.
type Report struct {
	Share float64 `json:"dashboard_share"`
	Total Amounts `json:"total"`
	Used  []Use   `json:"used"`
	Cut   []Cut   `json:"cut"`
}

// Budgets are those of the process that reports.
func (r *Report) Budgets() Budgets { return Budgets{r.Total, r.Share} }
