package grafana

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Outcome is what became of something.
type Outcome string

// The outcomes.
const (
	Mapped    Outcome = "mapped"
	WithNotes Outcome = "mapped with notes"
	NotMapped Outcome = "not mapped"
	// Left is for what Grafana itself does not show, such as a hidden query.
	Left Outcome = "left out"
)

// Report is what became of a dashboard of Grafana, leaving nothing out.
type Report struct {
	File        string   `json:"file"`
	Title       string   `json:"title"`
	DashboardID string   `json:"dashboard_id"`
	Widgets     int      `json:"widgets"`
	Panels      []*Panel `json:"panels"`
	Other       []Item   `json:"other"` // All that is no panel.
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
	Reason    string   `json:"reason,omitempty"`
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
	good, bad, noted := 0, 0, len(p.Notes) > 0
	for _, t := range p.Targets {
		switch t.Outcome {
		case Mapped:
			good++
		case WithNotes:
			good, noted = good+1, true
		case NotMapped:
			bad++
		case Left:
		}
	}
	switch {
	case p.Reason != "":
		p.Outcome = NotMapped
	case len(p.Targets) == 0:
		p.Outcome, p.Reason = NotMapped, "it has no queries"
	case good+bad == 0:
		p.Outcome, p.Reason = Left, "all its queries are hidden in Grafana"
	case good == 0:
		p.Outcome, p.Reason = NotMapped, "none of its queries could be mapped"
	case bad > 0 || noted:
		p.Outcome = WithNotes
	default:
		p.Outcome = Mapped
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

// Complete reports whether everything was mapped, with notes or without.
func (r Report) Complete() bool {
	lost := func(p *Panel) bool {
		return p.Outcome == NotMapped || slices.ContainsFunc(p.Targets, func(t Target) bool { return t.Outcome == NotMapped })
	}
	return !slices.ContainsFunc(r.Panels, lost) && !slices.ContainsFunc(r.Other, func(i Item) bool { return i.Outcome == NotMapped })
}

// Count returns the number of panels of each outcome.
func (r Report) Count() map[Outcome]int {
	n := make(map[Outcome]int)
	for _, p := range r.Panels {
		n[p.Outcome]++
	}
	return n
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) error {
	var b strings.Builder
	n := r.Count()
	fmt.Fprintf(&b, "%s: %q: of %d panels %d mapped, %d mapped with notes, %d not mapped, %d left out; %d widgets\n",
		r.File, r.Title, len(r.Panels), n[Mapped], n[WithNotes], n[NotMapped], n[Left], r.Widgets)
	for _, p := range r.Panels {
		fmt.Fprintf(&b, "  %s: %s %q", p.Outcome, p.Type, p.Title)
		if p.Reason != "" {
			fmt.Fprintf(&b, ": %s", p.Reason)
		}
		b.WriteByte('\n')
		for _, note := range p.Notes {
			fmt.Fprintf(&b, "      note: %s\n", note)
		}
		for _, t := range p.Targets {
			fmt.Fprintf(&b, "    %s: %s: %s\n", t.RefID, t.Outcome, strings.Join(strings.Fields(t.Expr), " "))
			if t.Reason != "" {
				fmt.Fprintf(&b, "      because %s\n", t.Reason)
			}
			if t.MetricKey != "" {
				fmt.Fprintf(&b, "      as %s\n", t.MetricKey)
			}
			for _, note := range t.Notes {
				fmt.Fprintf(&b, "      note: %s\n", note)
			}
		}
	}
	for _, i := range r.Other {
		fmt.Fprintf(&b, "  %s: %s %q: %s\n", i.Outcome, i.Kind, i.Name, i.Detail)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
