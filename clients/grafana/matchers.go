package grafana

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"pulseboard/metric"
)

// conditions collects what the matchers of a query say of one label.
type conditions struct {
	in     []string // One of these, unless nil.
	notIn  []string
	exists bool
	absent bool
	prefix string
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
	errRegexp   = errors.New("a regular expression that is neither a list of texts nor a prefix")
	errSeveral  = errors.New("several conditions on one label that no filter can hold together")
	errNothing  = errors.New("it can never hold")
	errEmptyOut = errors.New("it lets empty values pass beside others")
)

// add takes a matcher in. Prometheus anchors regular expressions at both ends,
// and an empty value is an absent label, as with us.
func (c *conditions) add(m matcher) (note string, err error) {
	l := pattern{values: []string{m.value}}
	if m.regexp {
		if l, err = language(m.value); err != nil {
			return "", err
		}
	}
	switch {
	case l.tail == noTail && m.negative:
		c.exclude(l.values)
		return "", nil
	case l.tail == noTail:
		return "", c.include(l.values)
	case l.prefix == "": // .* matches all, .+ all that is there.
		return "", c.any(m.negative, l.tail == plus)
	case m.negative:
		return "", errRegexp
	case c.prefix != "" && c.prefix != l.prefix:
		return "", errSeveral
	}
	c.prefix = l.prefix
	switch l.tail {
	case dots:
		note = fmt.Sprintf("%s takes all values that begin with %q: right while those have the length of %q", m.label, l.prefix, m.value)
	case plus:
		note = fmt.Sprintf("%s also takes the value %q itself, which the + leaves out", m.label, l.prefix)
	}
	return note, nil
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
	switch empty := slices.Contains(values, ""); {
	case empty && len(values) > 1:
		return errEmptyOut
	case empty:
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
	var terms []metric.Term
	if c.in != nil {
		kept := slices.DeleteFunc(slices.Clone(c.in), func(v string) bool {
			return slices.Contains(c.notIn, v) || !strings.HasPrefix(v, c.prefix)
		})
		if len(kept) == 0 {
			return nil, errNothing
		}
		return []metric.Term{{Tag: label, Op: metric.In, Values: kept}}, nil
	}
	if len(c.notIn) > 0 {
		terms = append(terms, metric.Term{Tag: label, Op: metric.NotIn, Values: c.notIn})
	}
	if c.prefix != "" {
		terms = append(terms, metric.Term{Tag: label, Op: metric.Prefix, Values: []string{c.prefix}})
	}
	if c.exists && c.prefix == "" {
		terms = append(terms, metric.Term{Tag: label, Op: metric.Exists})
	}
	if c.absent {
		terms = append(terms, metric.Term{Tag: label, Op: metric.NotExists})
	}
	return terms, nil
}

// pattern is what a regular expression matches: some texts, or a prefix and
// anything after it.
type pattern struct {
	values []string
	prefix string
	tail   tail
}

type tail int

const (
	noTail tail = iota
	star        // .*
	plus        // .+
	dots        // One dot or several, such as 5.. for the codes of errors.
)

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
	if n := len(parts); n > 1 && isEnd(parts[n-1]) {
		parts = parts[:n-1]
	}
	p := pattern{}
	switch last := parts[len(parts)-1]; {
	case isDot(last) && len(parts) > 1 && !isDot(parts[0]):
		p.tail = dots
		for isDot(parts[len(parts)-2]) {
			parts = parts[:len(parts)-1]
		}
	case !isAnything(last):
		return pattern{}, errRegexp
	case last.Op == syntax.OpPlus, last.Op == syntax.OpCapture && last.Sub[0].Op == syntax.OpPlus:
		p.tail = plus
	default:
		p.tail = star
	}
	if len(parts) > 1 {
		head, ok := texts(&syntax.Regexp{Op: syntax.OpConcat, Sub: parts[:len(parts)-1]}, true, false)
		if !ok || len(head) != 1 {
			return pattern{}, errRegexp
		}
		p.prefix = head[0]
	}
	if p.prefix == "" && p.tail == dots {
		return pattern{}, errRegexp
	}
	return p, nil
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
	return (re.Op == syntax.OpStar || re.Op == syntax.OpPlus) && isDot(re.Sub[0])
}

func isDot(re *syntax.Regexp) bool {
	return re.Op == syntax.OpAnyChar || re.Op == syntax.OpAnyCharNotNL
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
