package property_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// query is what a metric key says, read by itself so that a mistake of ours in
// writing keys would be seen.
type query struct {
	metric, aggregation string
	window, delay       int64 // Seconds.
	filter              map[string]any
	groupBy             []string
	fromZero            bool // It says first: count.

	known map[*series]verdict
}

// matches is the definition of filters in documents (docs/protocol.md, "Metric key").
func (q *query) matches(tags map[string]string) bool {
	for tag, want := range q.filter {
		v := tags[tag]
		switch w := want.(type) {
		case string:
			if v != w {
				return false
			}
		case []string:
			if !slices.Contains(w, v) {
				return false
			}
		case map[string]any:
			for op, x := range w {
				holds := false
				switch op {
				case "not":
					if s, ok := x.(string); ok {
						holds = v != s
					} else {
						holds = !slices.Contains(x.([]string), v)
					}
				case "exists":
					holds = (v != "") == x.(bool)
				case "prefix":
					holds = v != "" && strings.HasPrefix(v, x.(string))
				case "regex":
					holds = regexp.MustCompile(`\A(?s:` + x.(string) + `)\z`).MatchString(v)
				case "not_regex":
					holds = !regexp.MustCompile(`\A(?s:` + x.(string) + `)\z`).MatchString(v)
				}
				if !holds {
					return false
				}
			}
		}
	}
	return true
}

// group names the resulting series of an event.
func (q *query) group(tags map[string]string) string {
	var b strings.Builder
	for _, g := range q.groupBy {
		if v := tags[g]; v != "" {
			fmt.Fprintf(&b, "%s=%s;", g, v)
		}
	}
	return b.String()
}

// verdict is what a query says of a series.
type verdict struct {
	matches bool
	group   string
}

func (q *query) of(s *series) verdict {
	v, known := q.known[s]
	if !known {
		v = verdict{q.matches(s.tags), q.group(s.tags)}
		if q.known == nil {
			q.known = map[*series]verdict{}
		}
		q.known[s] = v
	}
	return v
}

// content is the events of one resulting series in one window.
type content struct {
	values []float64
	newest int64
	late   int // How many of them were a second late or more.

	start, end int64
	fromZero   bool
	growth     float64   // What the values amount to that are growth by themselves.
	magnitude  float64   // The sum of them all, without their signs.
	told       []*logged // All that is known of the group, also of the time before the window.
}

// groups divides the events of a window that begins at start and ends at end.
func (q *query) groups(in []*logged, start, end int64) map[string]*content {
	groups := map[string]*content{}
	type point struct {
		series *series
		at     int64
		nanos  int32
	}
	points := map[point]int{} // Where their values are.
	for _, e := range in {
		g := q.of(e.series).group
		c := groups[g]
		if c == nil {
			c = &content{newest: math.MinInt64, start: start, end: end, fromZero: q.fromZero}
			groups[g] = c
		}
		c.told = append(c.told, e)
		if e.at < start || e.stale || e.histogram != nil {
			continue
		}
		if e.point {
			id := point{e.series, e.at, e.nanos}
			if i, again := points[id]; again { // The greatest one counts.
				c.values[i] = max(c.values[i], e.value)
				continue
			}
			points[id] = len(c.values)
		}
		c.values = append(c.values, e.value)
		c.magnitude += math.Abs(e.value)
		if e.kind == "" || e.kind == "delta" {
			c.growth += e.value
		}
		c.newest = max(c.newest, e.at)
		if e.late >= 1000 {
			c.late++
		}
	}
	for _, c := range groups {
		for _, told := range c.bySeries() {
			c.observe(told)
		}
	}
	return groups
}

// value is a number, or a distribution: bins of [lower, upper, count].
type value struct {
	number float64
	bins   [][3]float64
}

func (v *value) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, &v.bins)
	}
	return json.Unmarshal(b, &v.number)
}

// check compares a value with its definition. A nil got is an absent value.
func check(aggregation string, got *value, c *content) error {
	if grows(aggregation) || strings.HasPrefix(aggregation, "last") {
		var number *float64
		if got != nil {
			number = &got.number
		}
		return checkTold(aggregation, number, c)
	}
	n := 0
	if c != nil {
		n = len(c.values)
	}
	if n == 0 {
		switch {
		case aggregation == "sum" || aggregation == "count":
			if got == nil || got.number != 0 || got.bins != nil {
				return errors.New("want 0")
			}
		case got != nil:
			return errors.New("want null")
		}
		return nil
	}
	if got == nil {
		return errors.New("it is null")
	}
	if (aggregation == "histogram") != (got.bins != nil) {
		return fmt.Errorf("a number or a distribution in place of the other: %v", *got)
	}
	if got.bins != nil {
		return checkBins(got.bins, c.values)
	}
	sum, abs, low, high := 0.0, 0.0, math.Inf(1), math.Inf(-1)
	for _, v := range c.values {
		sum += v
		abs += math.Abs(v)
		low, high = math.Min(low, v), math.Max(high, v)
	}
	var want, tolerance float64
	switch aggregation {
	case "count":
		want = float64(n)
	case "min":
		want = low
	case "max":
		want = high
	case "sum":
		want, tolerance = sum, 1e-9*math.Abs(sum)+1e-12*abs
	case "avg":
		want, tolerance = sum/float64(n), (1e-9*math.Abs(sum)+1e-12*abs)/float64(n)
	case "stddev":
		for _, v := range c.values {
			d := v - sum/float64(n)
			want += d * d / float64(n)
		}
		want = math.Sqrt(want)
		tolerance = 1e-9 * (want + abs/float64(n))
	default:
		p, err := strconv.ParseFloat(aggregation[1:], 64)
		if err != nil {
			return err
		}
		sorted := slices.Sorted(slices.Values(c.values))
		want = sorted[int(math.Floor(p*float64(n-1)/100))]
		tolerance = 0.00542 * math.Abs(want)
	}
	if math.Abs(got.number-want) > tolerance {
		return fmt.Errorf("want %v", want)
	}
	return nil
}

// checkBins compares a distribution with its definition: bins end at the powers of 2^(2^-scale), of the finest scale
// at which there are at most 64.
func checkBins(got [][3]float64, values []float64) error {
	want := map[[2]float64]float64{} // By sign and place of the border away from zero.
	for scale := 6.0; ; scale-- {
		clear(want)
		for _, v := range values {
			bin := [2]float64{}
			if math.Abs(v) >= 0x1p-1022 {
				bin = [2]float64{math.Copysign(1, v), math.Ceil(math.Log2(math.Abs(v)) * math.Exp2(scale))}
			}
			want[bin]++
		}
		if len(want) > 64 {
			continue
		}
		for _, b := range got {
			bin := [2]float64{}
			if far := max(-b[0], b[1]); far > 0 {
				bin = [2]float64{math.Copysign(1, b[0]+b[1]), math.Round(math.Log2(far) * math.Exp2(scale))}
			}
			if want[bin] != b[2] {
				return fmt.Errorf("bin %v, want %v values", b, want[bin])
			}
			delete(want, bin)
		}
		if len(want) > 0 {
			return fmt.Errorf("bins %v are not there", want)
		}
		return nil
	}
}
