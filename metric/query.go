package metric

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"pulseboard/aggregate"
)

// Limits of a query (docs/protocol.md, "Dashboards").
const (
	MaxWindowSeconds = 86_400
	MaxDelaySeconds  = 300
	MaxGroupBy       = 8
)

// Query is what a widget asks for: one aggregation of one metric over a
// sliding window, of the series that pass the filter, one result per value of
// the group_by tags.
type Query struct {
	Metric        string      `json:"metric_name"`
	Aggregation   Aggregation `json:"aggregation"`
	WindowSeconds int         `json:"window_seconds"`
	DelaySeconds  int         `json:"delay_seconds,omitempty"`
	First         string      `json:"first,omitempty"` // FirstCounts, or empty.
	Filter        Filter      `json:"filter,omitempty"`
	GroupBy       []string    `json:"group_by,omitempty"`
}

// FirstCounts is the First of a query of counters whose series begin at zero: a sample that nothing precedes counts whole.
const FirstCounts = "count"

// Normal returns q with the group_by tags sorted and unique, so that equal
// queries have equal keys. Filters are normal by construction.
func (q Query) Normal() Query {
	q.GroupBy = slices.Compact(slices.Sorted(slices.Values(q.GroupBy)))
	if len(q.Filter) == 0 {
		q.Filter = nil
	}
	return q
}

// Validate reports the first rule that q breaks.
func (q Query) Validate() error {
	if err := ValidateName(q.Metric); err != nil {
		return err
	}
	if err := q.Aggregation.Validate(); err != nil {
		return err
	}
	if q.WindowSeconds < 1 || q.WindowSeconds > MaxWindowSeconds {
		return fmt.Errorf("window_seconds is %d: it must be 1 to %d", q.WindowSeconds, MaxWindowSeconds)
	}
	if q.DelaySeconds < 0 || q.DelaySeconds > MaxDelaySeconds {
		return fmt.Errorf("delay_seconds is %d: it must be 0 to %d", q.DelaySeconds, MaxDelaySeconds)
	}
	if err := q.ValidateFirst(); err != nil {
		return err
	}
	if len(q.GroupBy) > MaxGroupBy {
		return fmt.Errorf("group_by has %d tags: at most %d", len(q.GroupBy), MaxGroupBy)
	}
	for _, g := range q.GroupBy {
		if err := ValidateTagKey(g); err != nil {
			return err
		}
	}
	return nil
}

// ValidateFirst reports what is wrong with First.
func (q Query) ValidateFirst() error {
	switch {
	case q.First == "":
		return nil
	case q.First != FirstCounts:
		return fmt.Errorf("first is %.40q: leave it out, or say %s where the series of a metric begin at zero", q.First, FirstCounts)
	case !q.Aggregation.Grows():
		return fmt.Errorf("first says what the first sample of a counter adds to increase and rate: leave it out for %s", q.Aggregation)
	}
	return nil
}

// bucketTag is the tag that holds the bound of a bucket of a classic histogram, whose metric ends in bucketEnding.
const (
	bucketTag    = "le"
	bucketEnding = "_bucket"
)

// OfBuckets reports whether q asks for the distribution of a classic histogram: of its buckets, which are counters by the tag le, it is
// computed from by how much they grew. Inner is the query for these then.
func (q Query) OfBuckets() (inner Query, ok bool) {
	_, _, percentile := q.Aggregation.Percentile()
	if !percentile && !q.Aggregation.IsDistribution() || !strings.HasSuffix(q.Metric, bucketEnding) || slices.Contains(q.GroupBy, bucketTag) {
		return q, false
	}
	q.GroupBy = append(slices.Clone(q.GroupBy), bucketTag)
	return q.Normal(), true
}

// CutBound takes the bound of a bucket out of the tags of a group of an inner query; false when it has none.
func (t Tags) CutBound() (outer Tags, bound float64, ok bool) {
	i := slices.IndexFunc(t, func(x Tag) bool { return x.Key == bucketTag })
	if i < 0 {
		return t, 0, false
	}
	bound, err := strconv.ParseFloat(t[i].Value, 64)
	return slices.Delete(slices.Clone(t), i, i+1), bound, err == nil && !math.IsNaN(bound)
}

// Reach is how far before the end of a window the events lie that it depends on: those of counters also as far before its
// beginning as samples are compared. Of a metric of cumulative histograms it is JoinReach, whatever the aggregation.
func (q Query) Reach() time.Duration {
	if _, buckets := q.OfBuckets(); buckets || q.Aggregation.Grows() {
		return q.JoinReach()
	}
	return time.Duration(q.WindowSeconds) * time.Second
}

// JoinReach is the window and how far before it samples lie that those in it are compared with.
func (q Query) JoinReach() time.Duration {
	return time.Duration(q.WindowSeconds)*time.Second + aggregate.Lookback*time.Millisecond
}

// Key returns the metric key: the canonical text of q, which names its Redis
// channel and its history.
func (q Query) Key() string {
	q = q.Normal()
	delay := ""
	if q.DelaySeconds > 0 {
		delay = fmt.Sprintf(" delay %ds", q.DelaySeconds)
	}
	first := ""
	if q.First != "" {
		first = " first " + q.First
	}
	return fmt.Sprintf("%s:%s:%ds%s%s%s", nameText(q.Metric), q.Aggregation, q.WindowSeconds, delay, first, q.selection())
}

// Selector is the canonical text of metric, filter and group_by: queries that
// share it read the same series.
func (q Query) Selector() string {
	q = q.Normal()
	return nameText(q.Metric) + q.selection()
}

func (q Query) selection() (text string) {
	if len(q.Filter) > 0 {
		terms := make([]string, len(q.Filter))
		for i, t := range q.Filter {
			terms[i] = t.text()
		}
		text = " {" + strings.Join(terms, ", ") + "}"
	}
	if len(q.GroupBy) > 0 {
		keys := make([]string, len(q.GroupBy))
		for i, key := range q.GroupBy {
			keys[i] = keyText(key)
		}
		text += " by (" + strings.Join(keys, ", ") + ")"
	}
	return text
}

// ErrKey is the error of a text that is no canonical metric key.
var ErrKey = errors.New("not a metric key")

// ParseKey reads a metric key. It accepts the canonical text only, so
// ParseKey(q.Key()) gives q.Normal() and no other text gives it.
func ParseKey(key string) (Query, error) {
	q, ok := parseKey(key)
	if !ok {
		return Query{}, fmt.Errorf(`%w: %.300q; write it as METRIC:AGGREGATION:SECONDSs, with delay 5s, {tag="value"} and by (tag) after that, as far as they are wanted`, ErrKey, key)
	}
	if err := q.Validate(); err != nil {
		return Query{}, fmt.Errorf("%w: %.300q: %w", ErrKey, key, err)
	}
	if own := q.Key(); own != key {
		return Query{}, fmt.Errorf("%w: %.300q; the key of this query is %.300q", ErrKey, key, own)
	}
	return q, nil
}

func parseKey(key string) (q Query, ok bool) {
	name, quoted := "", strings.HasPrefix(key, `"`)
	if quoted {
		if name, key, ok = cutString(key); !ok {
			return q, false
		}
	}
	head, rest, spaced := strings.Cut(key, " ")
	if spaced {
		rest = " " + rest
	}
	j := strings.LastIndexByte(head, ':')
	if j < 0 {
		return q, false
	}
	i := strings.LastIndexByte(head[:j], ':')
	if i < 0 || quoted && i > 0 {
		return q, false
	}
	if !quoted {
		name = head[:i]
	}
	q.Metric, q.Aggregation = name, Aggregation(head[i+1:j])
	if q.WindowSeconds, ok = parseSeconds(head[j+1:]); !ok {
		return q, false
	}
	if s, found := strings.CutPrefix(rest, " delay "); found {
		n := strings.IndexByte(s, 's')
		if n < 0 {
			return q, false
		}
		if q.DelaySeconds, ok = parseSeconds(s[:n+1]); !ok {
			return q, false
		}
		rest = s[n+1:]
	}
	if s, found := strings.CutPrefix(rest, " first "+FirstCounts); found {
		q.First, rest = FirstCounts, s
	}
	if s, found := strings.CutPrefix(rest, " {"); found {
		if q.Filter, rest, ok = parseFilter(s); !ok {
			return q, false
		}
	}
	if s, found := strings.CutPrefix(rest, " by ("); found {
		if q.GroupBy, rest, ok = parseKeys(s); !ok {
			return q, false
		}
	}
	return q, rest == ""
}

func parseSeconds(s string) (int, bool) {
	s, ok := strings.CutSuffix(s, "s")
	n, err := strconv.Atoi(s)
	return n, ok && err == nil
}

// parseFilter reads terms up to and with the closing brace.
func parseFilter(s string) (f Filter, rest string, ok bool) {
	var terms []Term
	for {
		var t Term
		if t, s, ok = parseKeyTerm(s); !ok {
			return nil, s, false
		}
		terms = append(terms, t)
		if r, found := strings.CutPrefix(s, ", "); found {
			s = r
			continue
		}
		if s, ok = strings.CutPrefix(s, "}"); !ok {
			return nil, s, false
		}
		f, err := NewFilter(terms...)
		return f, s, err == nil
	}
}

// parseKeys reads the keys of tags up to and with the closing parenthesis.
func parseKeys(s string) (keys []string, rest string, ok bool) {
	for {
		var key string
		if key, _, s, ok = cutKey(s); !ok {
			return nil, s, false
		}
		keys = append(keys, key)
		if r, found := strings.CutPrefix(s, ", "); found {
			s = r
			continue
		}
		s, ok = strings.CutPrefix(s, ")")
		return keys, s, ok
	}
}

// parseKeyTerm decides by what follows the first word, since "in", "not" and
// "exists" may be tags too.
func parseKeyTerm(s string) (t Term, rest string, ok bool) {
	word, bare, s, ok := cutKey(s)
	if !ok {
		return t, s, false
	}
	for _, op := range []Op{Regex, NotRegex, Equal, NotEqual, Prefix} {
		if r, found := strings.CutPrefix(s, string(op)); found {
			v, r, ok := cutString(r)
			return Term{Tag: word, Op: op, Values: []string{v}}, r, ok
		}
	}
	for _, op := range []Op{In, NotIn} {
		if r, found := strings.CutPrefix(s, " "+string(op)+" ("); found {
			vs, r, ok := cutStrings(r)
			return Term{Tag: word, Op: op, Values: vs}, r, ok
		}
	}
	op := Exists
	if word == "not" && bare {
		r, found := strings.CutPrefix(s, " exists")
		if !found {
			return t, s, false
		}
		op, s = NotExists, r
	} else if word != "exists" || !bare {
		return t, s, false
	}
	if s, ok = strings.CutPrefix(s, " "); !ok {
		return t, s, false
	}
	word, _, s, ok = cutKey(s)
	return Term{Tag: word, Op: op}, s, ok
}

// cutKey reads the key of a tag, bare or as a JSON string.
func cutKey(s string) (key string, bare bool, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		key, rest, ok = cutString(s)
		return key, false, rest, ok
	}
	n := bareKeyBytes(s)
	return s[:n], true, s[n:], n > 0
}

func cutString(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", s, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			v, err := jsontext.AppendUnquote(nil, s[:i+1])
			return string(v), s[i+1:], err == nil
		}
	}
	return "", s, false
}

func cutStrings(s string) (values []string, rest string, ok bool) {
	for {
		var v string
		if v, s, ok = cutString(s); !ok {
			return nil, s, false
		}
		values = append(values, v)
		if r, found := strings.CutPrefix(s, ","); found {
			s = r
			continue
		}
		s, ok = strings.CutPrefix(s, ")")
		return values, s, ok
	}
}
