package grafana

import "slices"

// Outcome is what became of something, of a panel or query whether its values are those of Grafana.
type Outcome string

// The outcomes, the worst first.
const (
	Lost    Outcome = "lost"
	Partly  Outcome = "lost in part" // A panel of which some queries are.
	RightIf Outcome = "right if"     // Under conditions, which are told.
	Right   Outcome = "right"
	// Left is for what Grafana itself does not show, such as a hidden query, and for what has no values.
	Left Outcome = "left out"
)

// Report is what became of a dashboard of Grafana, leaving nothing out.
type Report struct {
	File        string   `json:"file"`
	Title       string   `json:"title"`
	DashboardID string   `json:"dashboard_id"`
	Verdict     Verdict  `json:"verdict"`
	Widgets     int      `json:"widgets"`
	Remarks     []Remark `json:"remarks"` // Reasons, conditions and notes, each once, the worst first.
	Panels      []*Panel `json:"panels"`
	Other       []Item   `json:"other"` // All that is no panel.
}

// Verdict counts panels and queries by their outcome.
type Verdict struct {
	Panels  map[Outcome]int `json:"panels"`
	Queries map[Outcome]int `json:"queries"`
}

// Remark is a text that is told of panels and queries, and of how many.
type Remark struct {
	Number  int     `json:"number"` // By which panels and queries name it in the report for people.
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text"`
	Count   int     `json:"count"`
}

// Panel is what became of one panel.
type Panel struct {
	ID      int      `json:"id"`
	Title   string   `json:"title"`
	Type    string   `json:"type"`
	Outcome Outcome  `json:"outcome"`
	Reason  string   `json:"reason,omitempty"`
	Notes   []string `json:"notes,omitempty"`
	Targets []Target `json:"targets,omitempty"`
}

// Target is what became of one query of a panel.
type Target struct {
	RefID     string   `json:"ref_id"`
	Expr      string   `json:"expr"`
	Outcome   Outcome  `json:"outcome"`
	MetricKey string   `json:"metric_key,omitempty"`
	Factor    float64  `json:"factor,omitempty"` // Grafana's values are this many times those of the metric key; absent = once.
	Reason    string   `json:"reason,omitempty"`
	RightIf   []string `json:"right_if,omitempty"` // All must hold.
	Notes     []string `json:"notes,omitempty"`
}

// Item is what became of a variable, an annotation, a link and the like.
type Item struct {
	Kind    string  `json:"kind"`
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail"`
}

// settle derives the outcome of a panel from those of its targets.
func (p *Panel) settle() {
	n := make(map[Outcome]int)
	for _, t := range p.Targets {
		n[t.Outcome]++
	}
	switch good := n[Right] + n[RightIf]; {
	case p.Reason != "":
		p.Outcome = Lost
	case len(p.Targets) == 0:
		p.Outcome, p.Reason = Lost, "it has no queries"
	case good+n[Lost] == 0:
		p.Outcome, p.Reason = Left, "all its queries are hidden in Grafana"
	case good == 0:
		p.Outcome, p.Reason = Lost, "none of its queries could be mapped"
	case n[Lost] > 0:
		p.Outcome = Partly
	case n[RightIf] > 0:
		p.Outcome = RightIf
	default:
		p.Outcome = Right
	}
}

// shown is the letter of the first query that was mapped.
func (p *Panel) shown() string {
	for _, t := range p.Targets {
		if t.MetricKey != "" {
			return t.RefID
		}
	}
	return ""
}

// Complete reports whether nothing was lost.
func (r Report) Complete() bool {
	return r.Verdict.Panels[Lost]+r.Verdict.Panels[Partly] == 0 && !slices.ContainsFunc(r.Other, func(i Item) bool { return i.Outcome == Lost })
}

// Worse orders reports: the one of which a greater part is lost comes first, then the one with more conditions.
func Worse(a, b Report) int {
	share := func(r Report, o Outcome) float64 {
		all := r.Verdict.Panels
		return float64(all[o]) / float64(max(len(r.Panels), 1))
	}
	for _, o := range []Outcome{Lost, Partly, RightIf} {
		switch x, y := share(a, o), share(b, o); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
	}
	return 0
}

// judge counts what was found, and collects what is told of it.
func (r *Report) judge() {
	r.Verdict = Verdict{Panels: make(map[Outcome]int), Queries: make(map[Outcome]int)}
	r.Remarks = []Remark{}
	at := make(map[Remark]int)
	add := func(o Outcome, texts ...string) {
		for _, text := range texts {
			key := Remark{Outcome: o, Text: text}
			i, known := at[key]
			if !known {
				i = len(r.Remarks)
				at[key] = i
				r.Remarks = append(r.Remarks, key)
			}
			r.Remarks[i].Count++
		}
	}
	for _, p := range r.Panels {
		r.Verdict.Panels[p.Outcome]++
		if p.Reason != "" && len(p.Targets) == 0 {
			add(Lost, p.Reason)
		}
		add(Right, p.Notes...)
		for _, t := range p.Targets {
			r.Verdict.Queries[t.Outcome]++
			if t.Outcome == Lost {
				add(Lost, t.Reason)
			}
			add(RightIf, t.RightIf...)
			add(Right, t.Notes...)
		}
	}
	slices.SortStableFunc(r.Remarks, func(a, b Remark) int {
		if a.Outcome != b.Outcome {
			return a.Outcome.rank() - b.Outcome.rank()
		}
		return b.Count - a.Count
	})
	for i := range r.Remarks {
		r.Remarks[i].Number = i + 1
	}
}

// outcomes are all, the worst first.
func outcomes() []Outcome { return []Outcome{Lost, Partly, RightIf, Right, Left} }

func (o Outcome) rank() int { return slices.Index(outcomes(), o) }
