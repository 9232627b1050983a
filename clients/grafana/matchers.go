package grafana

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"pulseboard/metric"
)

// conditions collects what the matchers of a query say of one label.
type conditions struct {
	in       []string // One of these, unless nil.
	notIn    []string
	exists   bool
	absent   bool
	prefix   string
	regex    string // No list and no prefix.
	notRegex string
}

// matcher is label op value, such as host=~"a|b".
type matcher struct {
	label, value     string
	negative, regexp bool
}

func (m matcher) String() string {
	op := map[[2]bool]string{{false, false}: "=", {true, false}: "!=", {false, true}: "=~", {true, true}: "!~"}[[2]bool{m.negative, m.regexp}]
	return fmt.Sprintf("%s%s%q", m.label, op, m.value)
}

const maxAlternatives = 100

var (
	errSeveral = errors.New("several conditions on one label that no filter can hold together")
	errNothing = errors.New("it can never hold")
)

// add takes a matcher in. Prometheus anchors regular expressions at both ends,
// and an empty value is an absent label, as with us.
func (c *conditions) add(m matcher) error {
	l := pattern{values: []string{m.value}}
	if m.regexp {
		var err error
		if l, err = language(m.value); err != nil {
			return err
		}
	}
	switch {
	case l.values != nil && m.negative:
		c.exclude(l.values)
	case l.values != nil && (len(l.values) == 1 || !slices.Contains(l.values, "")):
		return c.include(l.values)
	case l.everything: // .* matches all, .+ all that is there.
		return c.any(m.negative, l.atLeastOne)
	case m.negative && c.notRegex != "":
		c.notRegex = "(?:" + c.notRegex + ")|(?:" + m.value + ")"
	case m.negative:
		c.notRegex = m.value
	case l.prefix != "" && c.prefix == "":
		c.prefix = l.prefix
	case c.regex != "":
		return errSeveral
	default:
		c.regex = m.value
	}
	return nil
}

func (c *conditions) any(negative, atLeastOne bool) error {
	switch {
	case !negative && atLeastOne:
		c.exists = true
	case negative && atLeastOne:
		c.absent = true
	case negative:
		return errNothing
	}
	return nil
}

func (c *conditions) include(values []string) error {
	switch {
	case slices.Contains(values, ""):
		c.absent = true
	case c.in == nil:
		c.in = values
	default:
		c.in = slices.DeleteFunc(slices.Clone(c.in), func(v string) bool { return !slices.Contains(values, v) })
		if len(c.in) == 0 {
			return errNothing
		}
	}
	return nil
}

func (c *conditions) exclude(values []string) {
	for _, v := range values {
		if v == "" {
			c.exists = true
		} else {
			c.notIn = append(c.notIn, v)
		}
	}
}

// terms are the filter's terms of a label.
func (c *conditions) terms(label string) ([]metric.Term, error) {
	if c.absent && (c.exists || c.in != nil || c.prefix != "") {
		return nil, errNothing
	}
	if c.in != nil {
		return c.list(label)
	}
	var terms []metric.Term
	add := func(has bool, op metric.Op, values ...string) {
		if has {
			terms = append(terms, metric.Term{Tag: label, Op: op, Values: values})
		}
	}
	add(len(c.notIn) > 0, metric.NotIn, c.notIn...)
	add(c.prefix != "", metric.Prefix, c.prefix)
	add(c.exists && c.prefix == "", metric.Exists)
	add(c.absent, metric.NotExists)
	add(c.regex != "", metric.Regex, c.regex)
	add(c.notRegex != "", metric.NotRegex, c.notRegex)
	return terms, nil
}

// list are the values of the list that all other conditions leave.
func (c *conditions) list(label string) ([]metric.Term, error) {
	is, err := anchored(c.regex)
	if err != nil {
		return nil, err
	}
	isNot, err := anchored(c.notRegex)
	if err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(slices.Clone(c.in), func(v string) bool {
		return slices.Contains(c.notIn, v) || !strings.HasPrefix(v, c.prefix) || c.regex != "" && !is.MatchString(v) || c.notRegex != "" && isNot.MatchString(v)
	})
	if len(kept) == 0 {
		return nil, errNothing
	}
	return []metric.Term{{Tag: label, Op: metric.In, Values: kept}}, nil
}

func anchored(text string) (*regexp.Regexp, error) { return regexp.Compile("^(?s:" + text + ")$") }

// pattern is what a regular expression matches, where a filter has simpler words for it: some texts, a prefix and
// anything after it, or everything.
type pattern struct {
	values     []string
	prefix     string
	everything bool
	atLeastOne bool // Of everything: not the empty text.
}

func language(expr string) (pattern, error) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return pattern{}, fmt.Errorf("a regular expression that cannot be read: %w", err)
	}
	if values, ok := texts(re, true, true); ok {
		slices.Sort(values)
		return pattern{values: slices.Compact(values)}, nil
	}
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	if isBegin(parts[0]) {
		parts = parts[1:]
	}
	if n := len(parts); n > 1 && isEnd(parts[n-1]) {
		parts = parts[:n-1]
	}
	p := pattern{}
	end := len(parts)
	for end > 0 && isAnything(parts[end-1]) {
		end--
		p.atLeastOne = p.atLeastOne || isSome(parts[end])
	}
	switch {
	case end == len(parts):
		return pattern{}, nil
	case end == 0:
		p.everything = true
		return p, nil
	case p.atLeastOne: // The prefix alone does not match.
		return pattern{}, nil
	}
	head, ok := texts(&syntax.Regexp{Op: syntax.OpConcat, Sub: parts[:end]}, true, false)
	if !ok || len(head) != 1 {
		return pattern{}, nil
	}
	return pattern{prefix: head[0]}, nil
}

func isBegin(re *syntax.Regexp) bool {
	return re.Op == syntax.OpBeginText || re.Op == syntax.OpBeginLine
}
func isEnd(re *syntax.Regexp) bool { return re.Op == syntax.OpEndText || re.Op == syntax.OpEndLine }

// isAnything reports whether re is .* or .+, also in parentheses.
func isAnything(re *syntax.Regexp) bool {
	if re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	return (re.Op == syntax.OpStar || re.Op == syntax.OpPlus) && (re.Sub[0].Op == syntax.OpAnyChar || re.Sub[0].Op == syntax.OpAnyCharNotNL)
}

// isSome reports whether re, which is .* or .+, is .+.
func isSome(re *syntax.Regexp) bool {
	if re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	return re.Op == syntax.OpPlus
}

// texts lists all texts that re matches, if they are few. first and last say
// whether it stands at the begin and the end, where anchors say nothing new.
func texts(re *syntax.Regexp, first, last bool) (out []string, ok bool) {
	switch {
	case re.Op == syntax.OpEmptyMatch, isBegin(re) && first, isEnd(re) && last:
		return []string{""}, true
	case re.Op == syntax.OpLiteral:
		return []string{string(re.Rune)}, re.Flags&syntax.FoldCase == 0
	case re.Op == syntax.OpCapture:
		return texts(re.Sub[0], first, last)
	case re.Op == syntax.OpQuest:
		out, ok = texts(re.Sub[0], first, last)
		return append(out, ""), ok
	case re.Op == syntax.OpCharClass:
		return characters(re.Rune)
	case re.Op == syntax.OpAlternate:
		for _, s := range re.Sub {
			some, ok := texts(s, first, last)
			if out = append(out, some...); !ok || len(out) > maxAlternatives {
				return nil, false
			}
		}
		return out, true
	case re.Op == syntax.OpConcat:
		return concatenations(re.Sub, first, last)
	}
	return nil, false
}

func characters(ranges []rune) (out []string, ok bool) {
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if out = append(out, string(r)); len(out) > maxAlternatives {
				return nil, false
			}
		}
	}
	return out, len(out) > 0
}

func concatenations(parts []*syntax.Regexp, first, last bool) ([]string, bool) {
	out := []string{""}
	for i, s := range parts {
		some, ok := texts(s, first && i == 0, last && i == len(parts)-1)
		if !ok || len(some)*len(out) > maxAlternatives {
			return nil, false
		}
		var longer []string
		for _, head := range out {
			for _, tail := range some {
				longer = append(longer, head+tail)
			}
		}
		out = longer
	}
	return out, true
}
