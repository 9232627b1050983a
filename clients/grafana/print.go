package grafana

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// words are what outcomes are called in a verdict.
func (o Outcome) words() string {
	switch o {
	case RightIf:
		return "right if …"
	case Right:
		return "right as they are"
	}
	return string(o)
}

// counts is such as "3 lost, 8 right if …", the worst first.
func counts(n map[Outcome]int) string {
	var parts []string
	for _, o := range outcomes() {
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[o], o.words()))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// Line is the verdict in one line.
func (r Report) Line() string {
	queries := 0
	for _, n := range r.Verdict.Queries {
		queries += n
	}
	return fmt.Sprintf("%s: %q: of %d panels %s; of %d queries %s; %d widgets",
		r.File, r.Title, len(r.Panels), counts(r.Verdict.Panels), queries, counts(r.Verdict.Queries), r.Widgets)
}

// Print writes the report for people: the verdict, then what is told of panels and queries, each once with how many it is
// told of, then all of them, which name it by its number.
func (r Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintln(&b, r.Line())
	before := Outcome("")
	for _, m := range r.Remarks {
		if m.Outcome != before {
			before = m.Outcome
			fmt.Fprintf(&b, "  %s\n", map[Outcome]string{Lost: "not mapped, because", RightIf: "right if", Right: "noted"}[m.Outcome])
		}
		fmt.Fprintf(&b, "    [%d] %d× %s\n", m.Number, m.Count, m.Text)
	}
	for _, o := range outcomes() {
		for _, p := range r.Panels {
			if p.Outcome == o {
				r.panel(&b, p)
			}
		}
	}
	for _, o := range outcomes() {
		for _, i := range r.Other {
			if i.Outcome == o {
				fmt.Fprintf(&b, "  %s: %s %q: %s\n", i.Outcome, i.Kind, i.Name, i.Detail)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) panel(b *strings.Builder, p *Panel) {
	fmt.Fprintf(b, "  %s: %s %q", p.Outcome, p.Type, p.Title)
	if p.Reason != "" {
		fmt.Fprintf(b, ": %s", p.Reason)
	}
	fmt.Fprintf(b, "%s\n", r.numbers(nil, p.Notes))
	for _, t := range p.Targets {
		fmt.Fprintf(b, "    %s: %s: %s%s\n", t.RefID, t.Outcome, strings.Join(strings.Fields(t.Expr), " "), r.numbers(t.RightIf, t.Notes))
		switch {
		case t.Outcome == Lost:
			fmt.Fprintf(b, "      not mapped because %s\n", t.Reason)
		case t.Reason != "":
			fmt.Fprintf(b, "      because %s\n", t.Reason)
		}
		if t.MetricKey != "" {
			fmt.Fprintf(b, "      as %s\n", t.MetricKey)
		}
	}
}

// numbers are those of conditions and notes, such as " [2] [5]".
func (r Report) numbers(rightIf, notes []string) string {
	var b strings.Builder
	for _, m := range r.Remarks {
		if m.Outcome == RightIf && slices.Contains(rightIf, m.Text) || m.Outcome == Right && slices.Contains(notes, m.Text) {
			fmt.Fprintf(&b, " [%d]", m.Number)
		}
	}
	return b.String()
}
