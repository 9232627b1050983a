package grafana

import (
	"slices"
	"strings"
	"testing"

	"pulseboard/metric"
)

func testOptions() Options {
	return Options{Window: 60, SendInterval: 15, MaxWindow: 3600, SliceMs: 1000}
}

func testVariables() map[string]*variable {
	return map[string]*variable{
		"host":     {name: "host", kind: "query", listed: true},
		"port":     {name: "port", kind: "query", listed: true},
		"job":      {name: "job", kind: "constant", value: "api"},
		"interval": {name: "interval", kind: "interval", value: "5m"},
		"auto":     {name: "auto", kind: "interval", value: "auto"},
		"ds":       {name: "ds", kind: "datasource"},
		"top":      {name: "top", kind: "textbox", value: "5"},
	}
}

func newTranslation() *translation {
	return &translation{options: testOptions(), variables: testVariables(), timeRange: 21600 / 12}
}

// What becomes of which query. notes are the beginnings of all notes.
func TestTranslate(t *testing.T) {
	const observations = "right if your producers send each observation as an event of x"
	const labels, running = "one series over all; Prometheus shows one for each", "the running total of a counter: right if your producers send that"
	for _, c := range []struct {
		expr, key string
		per       int
		factor    float64
		notes     []string
	}{
		// Gauges.
		{expr: `x`, key: `x:last:300s`, notes: []string{labels}},
		{expr: `avg(x)`, key: `x:last_avg:300s`},
		{expr: `max by (host) (x)`, key: `x:last_max:300s by (host)`},
		{expr: `min(x) by (a, b)`, key: `x:last_min:300s by (a, b)`},
		{expr: `sum by (db) (x)`, key: `x:last_sum:300s by (db)`},
		{expr: `count(x)`, key: `x:count:15s`, notes: []string{"right while each series sends exactly one event in 15 s"}},
		{expr: `quantile(0.9, x)`, key: `x:p90:60s`, notes: []string{"over the events of 60 s in place of the last value"}},
		{expr: `sum(sum by (a) (x))`, key: `x:last_sum:300s`},
		{expr: `max(max by (a, b) (x)) by (a)`, key: `x:last_max:300s by (a)`},
		{expr: `last_over_time(x[5m])`, key: `x:last:300s`, notes: []string{labels}},
		{expr: `sum by (a) (last_over_time(x[90s]))`, key: `x:last_sum:90s by (a)`},
		{expr: `x_total`, key: `x_total:last:300s`, notes: []string{running, labels}},
		{expr: `sum(x_total)`, key: `x_total:last_sum:300s`, notes: []string{running}},

		// Aggregations over time.
		{expr: `avg_over_time(x[5m])`, key: `x:avg:300s`, notes: []string{labels}},
		{expr: `avg by (a) (avg_over_time(x[5m]))`, key: `x:avg:300s by (a)`, notes: []string{"each event counts the same"}},
		{expr: `max(max_over_time(x[1h]))`, key: `x:max:3600s`},
		{expr: `min(min_over_time(x[90s]))`, key: `x:min:90s`},
		{expr: `sum(sum_over_time(x[1m30s]))`, key: `x:sum:90s`},
		{expr: `sum by (a) (count_over_time(x[1m]))`, key: `x:count:60s by (a)`},
		{expr: `quantile_over_time(0.99, x[5m])`, key: `x:p99:300s`, notes: []string{labels}},
		{expr: `stddev_over_time(x[5m])`, key: `x:stddev:300s`, notes: []string{labels}},

		// Counters.
		{expr: `sum(increase(x_total[5m]))`, key: `x_total:increase:300s`},
		{expr: `sum by (code) (rate(x_total[5m]))`, key: `x_total:rate:300s by (code)`},
		{expr: `rate(x_total[5m])`, key: `x_total:rate:300s`, notes: []string{labels}},
		{expr: `irate(x_total[5m])`, key: `x_total:rate:30s`, notes: []string{"irate() follows the last two samples of 5 min; here the window is 30 s", labels}},
		{expr: `sum(irate(x_total[30s]))`, key: `x_total:rate:30s`},
		{expr: `sum(rate(x_total[20s]))`, key: `x_total:rate:20s`, notes: []string{"the window of 20 s is shorter than two times --send-interval, 15 s"}},
		{expr: `sum(sum by (a) (rate(x_total[1m]))) by (b)`, key: `x_total:rate:60s by (b)`},

		// Histograms.
		{expr: `sum(rate(x_count[1m]))`, key: `x:count:60s`, per: 60, notes: []string{observations, "per min"}},
		{expr: `sum(increase(x_count[1m]))`, key: `x:count:60s`, notes: []string{observations}},
		{expr: `sum(increase(x_sum[1m]))`, key: `x:increase:60s`, notes: []string{observations}},
		{expr: `sum(rate(x_sum[1m]))`, key: `x:rate:60s`, notes: []string{observations}},
		{expr: `histogram_quantile(0.95, sum by (le, host) (rate(x_bucket{a="b"}[5m])))`, key: `x:p95:300s {a="b"} by (host)`, notes: []string{observations}},
		{expr: `histogram_quantile(.999, sum(increase(x_bucket[1m])) by (le))`, key: `x:p99.9:60s`, notes: []string{observations}},
		{expr: `histogram_quantile(0.29, rate(x_bucket[1m]))`, key: `x:p29:60s`, notes: []string{observations, labels}},
		{expr: `sum(rate(x_sum[5m])) by (a) / sum(rate(x_count[5m])) by (a)`, key: `x:avg:300s by (a)`, notes: []string{observations}},
		{expr: `rate(x_sum{a="1"}[5m]) / rate(x_count{a="1"}[5m])`, key: `x:avg:300s {a="1"}`, notes: []string{observations, labels}},
		{expr: `histogram_quantile(0.95, sum(rate(x[5m])))`, key: `x:p95:300s`},
		{expr: `histogram_quantile(0.95, sum by (host) (increase(x{a="b"}[5m])))`, key: `x:p95:300s {a="b"} by (host)`},
		{expr: `histogram_quantile(0.95, rate(x[5m]))`, key: `x:p95:300s`, notes: []string{labels}},
		{expr: `histogram_avg(sum by (a) (rate(x[1m])))`, key: `x:avg:60s by (a)`},

		// Around queries.
		{expr: `topk(5, sum by (a) (rate(x_total[1m])))`, key: `x_total:rate:60s by (a)`, notes: []string{"all series are shown"}},
		{expr: `sort_desc(max(x) by (a))`, key: `x:last_max:300s by (a)`, notes: []string{"sort_desc() is left out"}},
		{expr: `round(max(x))`, key: `x:last_max:300s`, notes: []string{"round() is left out"}},
		{expr: `max(x) * 100`, key: `x:last_max:300s`, factor: 100, notes: []string{"shown without the factor 100"}},
		{expr: `8 * sum(rate(x_total[1m])) / 2`, key: `x_total:rate:60s`, factor: 4, notes: []string{"shown without the factor 4"}},
		{expr: `max(x * 8)`, key: `x:last_max:300s`, factor: 8, notes: []string{"shown without the factor 8"}},
		{expr: `count(x * 8)`, key: `x:count:15s`, notes: []string{"right while"}},
		{expr: `sum(rate(x_total[1m])) or vector(0)`, key: `x_total:rate:60s`, notes: []string{"or vector(0)"}},
		{expr: "max( # the highest\n x )", key: `x:last_max:300s`},

		// Matchers.
		{expr: `max(x{a="1",b!="2",c=~"3|4",d!~"5|6"})`, key: `x:last_max:300s {a="1", b!="2", c in ("3","4"), d not in ("5","6")}`},
		{expr: `max(x{a=~"/api/.*",b=~".+",c=~".*",d="",e!="",f!~".+"})`, key: `x:last_max:300s {a^="/api/", exists b, not exists d, exists e, not exists f}`},
		{expr: `max(x{a=~"^web(1|2)-[ab]$"})`, key: `x:last_max:300s {a in ("web1-a","web1-b","web2-a","web2-b")}`},
		{expr: `max(x{a=~"10\\.0\\.0\\.1:80"})`, key: `x:last_max:300s {a="10.0.0.1:80"}`},
		{expr: `max(x{a=~"^5..$"})`, key: `x:last_max:300s {a^="5"}`, notes: []string{`a takes all values that begin with "5"`}},
		{expr: `max(x{a!="1",a!="2",a=~"p.+"})`, key: `x:last_max:300s {a not in ("1","2"), a^="p"}`, notes: []string{`a also takes the value "p" itself`}},
		{expr: `max(x{a=~"1|2|3",a!="2"})`, key: `x:last_max:300s {a in ("1","3")}`},
		{expr: `max({__name__="y.z",a="1"})`, key: `y.z:last_max:300s {a="1"}`},

		// Variables.
		{expr: `max(x{host=~"$host"})`, key: `x:last_max:300s by (host)`, notes: []string{"one series for each host, among which the variable chooses"}},
		{expr: `max by (host) (x{host="[[host]]",a="b"})`, key: `x:last_max:300s {a="b"} by (host)`},
		{expr: `max by (host) (x{host=~"^${host:regex}$"})`, key: `x:last_max:300s by (host)`},
		{expr: `max by (host) (x{host=~"$host:$port"})`, key: `x:last_max:300s by (host)`, notes: []string{`host is compared with "$host:$port"`}},
		{expr: `max(x{job="$job"})`, key: `x:last_max:300s {job="api"}`, notes: []string{`$job is replaced by its value "api"`}},
		{expr: `sum(increase(x_total[$__rate_interval]))`, key: `x_total:increase:60s`, notes: []string{"the window is 60 s in place of $__rate_interval"}},
		{expr: `sum(increase(x_total[${interval}]))`, key: `x_total:increase:300s`, notes: []string{"the window is 5m, the value of $interval"}},
		{expr: `sum(increase(x_total[[[auto]]]))`, key: `x_total:increase:60s`, notes: []string{"the window is 60 s in place of $auto"}},
		{expr: `sum(increase(x_total[$__range]))`, key: `x_total:increase:1800s`, notes: []string{"the window is 1800 s in place of $__range"}},
		{expr: `topk($top, max(x) by (a))`, key: `x:last_max:300s by (a)`, notes: []string{`$top is replaced by its value "5"`, "all series are shown"}},
	} {
		tr := newTranslation()
		got, err := tr.translate(c.expr)
		if err != nil {
			t.Errorf("%s: not mapped because %v", c.expr, err)
			continue
		}
		if c.factor == 0 {
			c.factor = 1
		}
		if got.query.Key() != c.key || got.per != c.per || got.factor != c.factor {
			t.Errorf("%s: got %s per %d factor %v, want %s per %d factor %v", c.expr, got.query.Key(), got.per, got.factor, c.key, c.per, c.factor)
		}
		if !slices.EqualFunc(tr.notes, c.notes, strings.HasPrefix) {
			t.Errorf("%s: notes\n  %s\nwant\n  %s", c.expr, strings.Join(tr.notes, "\n  "), strings.Join(c.notes, "\n  "))
		}
	}
}

// A heat map of buckets is that of a distribution; anything else on it is what it is elsewhere.
func TestHeatMapsOfBuckets(t *testing.T) {
	const observations = "right if your producers send each observation as an event of x, in place of buckets"
	for _, c := range []struct {
		expr, key string
		notes     []string
	}{
		{`sum by (le) (rate(x_bucket[5m]))`, `x:histogram:300s`, []string{observations}},
		{`sum(increase(x_bucket{a="b"}[1m])) by (le)`, `x:histogram:60s {a="b"}`, []string{observations}},
		{`rate(x_bucket[1m])`, `x:histogram:60s`, []string{observations}},
		{`sum by (le) (rate(x_bucket{host=~"$host"}[1m]))`, `x:histogram:60s`, []string{observations, "all of host together"}},
		{`sum(rate(x[5m]))`, `x:histogram:300s`, []string{"right if x is a native histogram"}},
		{`sum(rate(x_total[5m]))`, `x_total:rate:300s`, nil},
		{`max by (host) (x)`, `x:last_max:300s by (host)`, nil},
	} {
		tr := newTranslation()
		tr.heatmap = true
		got, err := tr.translate(c.expr)
		if err != nil || got.query.Key() != c.key || got.factor != 1 || got.per != 0 {
			t.Errorf("%s: got %s, %v, want %s", c.expr, got.query.Key(), err, c.key)
		}
		if !slices.EqualFunc(tr.notes, c.notes, strings.HasPrefix) {
			t.Errorf("%s: notes %q, want %q", c.expr, tr.notes, c.notes)
		}
	}
	for _, expr := range []string{`sum by (le, host) (rate(x_bucket[5m]))`, `avg by (le) (rate(x_bucket[5m]))`, `sum(rate(x_bucket[5m]))`, `sum by (le) (rate(x_bucket[5m])) / 8`} {
		tr := newTranslation()
		tr.heatmap = true
		if got, err := tr.translate(expr); err == nil {
			t.Errorf("%s is mapped to %s", expr, got.query.Key())
		}
	}
}

// What would be wrong is not mapped, and the reason says why.
func TestNotTranslated(t *testing.T) {
	for expr, want := range map[string]string{
		``:                                      "empty",
		`sum(`:                                  "cannot be read",
		`12`:                                    "a constant",
		`x[5m]`:                                 "a range that no function takes",
		`"text"`:                                "no query of a metric",
		`{a="b"}`:                               "names no metric",
		`time()`:                                "time() has no counterpart",
		`x > 5`:                                 "leaves out series by their values",
		`100 - x`:                               "only a factor",
		`x + y`:                                 "between two queries",
		`x / y`:                                 "between two queries",
		`x * -1`:                                "a factor that is not above 0",
		`x / 0`:                                 "a factor that is not above 0",
		`x and y`:                               "between two queries",
		`x or y`:                                "between two queries",
		`x offset 5m`:                           "offset",
		`x @ 1`:                                 "@",
		`avg(rate(x_total[1m]))`:                "needs the rate of each series",
		`count(rate(x_total[1m]))`:              "needs the rate of each series",
		`sum(avg_over_time(x[1m]))`:             "a widget has one aggregation",
		`count(count_over_time(x[1m]))`:         "a widget has one aggregation",
		`avg(quantile_over_time(0.9, x[1m]))`:   "percentiles cannot be aggregated",
		`max(sum by (a) (x))`:                   "of an aggregation",
		`count(count by (cpu) (x))`:             "of an aggregation",
		`sum(topk(5, x))`:                       "cannot be left out there",
		`sum(floor(x))`:                         "cannot be left out there",
		`sum without (a) (x)`:                   "without",
		`stddev(x)`:                             "stddev() over series has no counterpart",
		`sum(stddev_over_time(x[5m]))`:          "a widget has one aggregation",
		`deriv(x[5m])`:                          "deriv() has no counterpart",
		`absent(x)`:                             "absent() has no counterpart",
		`max_over_time(x[1h:5m])`:               "a subquery",
		`max_over_time(rate(x_total[1m])[1h:])`: "a subquery",
		`rate(x_total[5m] offset 1h)`:           "offset",
		`increase(x_total[2h])`:                 "a window of 7200 s",
		`rate(x_bucket[1m])`:                    "buckets of a histogram",
		`sum by (le) (increase(x_bucket[1m]))`:  "there are no buckets",
		`histogram_quantile(0.9, x)`:            "something other than the rate of a histogram",
		`histogram_quantile(0.9, rate(x_sum[1m]))`:           "something other than the rate of a histogram",
		`histogram_quantile(0.9, sum by (le) (rate(x[1m])))`: "x by (le), which is no x_bucket",
		`histogram_avg(x)`:                                            "something other than the rate of a histogram",
		`histogram_count(rate(x[1m]))`:                                "cannot be read",
		`histogram_quantile(0.9, sum by (a) (rate(x_bucket[1m])))`:    "without le",
		`histogram_quantile(0.9, avg by (le) (rate(x_bucket[1m])))`:   "something other than sum by (…)",
		`histogram_quantile(2, sum by (le) (rate(x_bucket[1m])))`:     "no number from 0 to 1",
		`sum(rate(x_sum[5m])) / sum(rate(y_count[5m]))`:               "between two queries",
		`sum(rate(x_sum[5m])) / sum(rate(x_count[1m]))`:               "between two queries",
		`sum(rate(x_sum{a="1"}[5m])) / sum(rate(x_count{a="2"}[5m]))`: "between two queries",
		`max(x{a=~"b.*c"})`:                                           "neither a list of texts nor a prefix",
		`max(x{a=~"(?i)b"})`:                                          "neither a list of texts nor a prefix",
		`max(x{a=~"b|"})`:                                             "empty values pass",
		`max(x{a=~"[0-9]+"})`:                                         "neither a list",
		`max(x{a=~".."})`:                                             "neither a list",
		`max(x{a=~"(a|b).."})`:                                        "neither a list",
		`max(x{a!~"5.."})`:                                            "neither a list",
		`max(x{a!~"b.*"})`:                                            "neither a list",
		`max(x{a=~"("})`:                                              "cannot be read",
		`max(x{a="1",a="2"})`:                                         "can never hold",
		`max(x{a="",a!=""})`:                                          "can never hold",
		`max(x{a!~".*"})`:                                             "can never hold",
		`max(x{a=~"p.*",a=~"q.*"})`:                                   "several conditions",
		`max({__name__=~"x|y"})`:                                      "a widget has one metric",
		`max(x{a="1" or b="2"})`:                                      "matchers with or",
		`max(x) by (a, b, c, d, e)`:                                   "grouped by 5 labels",
		`max(x{host!~"$host"})`:                                       "leaves out what the variable $host chooses",
		`max(x{a="$nobody"})`:                                         "$nobody is not defined",
		`max(x{a="$ds"})`:                                             "no choice among the values",
		`max(x) by ($host)`:                                           "stands outside of a matcher",
		`max(x{a="$__user"})`:                                         "no counterpart",
		`with (y = x) max(y)`:                                         "WITH",
		`sum(x, y)`:                                                   "several things",
		strings.Repeat("x+", 10_000) + "x":                            "at most 16384",
		`max(x{a="` + strings.Repeat("v", 1100) + `"})`:                "no tag value",
	} {
		tr := newTranslation()
		got, err := tr.translate(expr)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %s, reason %v; want %s", expr, got.query.Key(), err, want)
		}
	}
}

// No text makes the translation panic, and what it gives is a valid query.
func FuzzTranslate(f *testing.F) {
	for _, s := range []string{
		`sum by (le) (rate(x_bucket{a=~"b|c",host="$host"}[$__rate_interval])) / 8`, `histogram_quantile(0.9, sum(rate(x_bucket[1m])) by (le))`,
		`topk(5, max_over_time(x[[[interval]]]))`, `"$host'`, `x{a=~"[^a]"} or vector(0)`, `rate(x_sum[5m]) / rate(x_count[5m])`, "x{a=`\\`}#",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		got, err := newTranslation().translate(expr)
		if err != nil {
			return
		}
		if err := got.query.Validate(); err != nil {
			t.Errorf("%q: %v", expr, err)
		}
		if q, err := metric.ParseKey(got.query.Key()); err != nil || q.Key() != got.query.Key() {
			t.Errorf("%q: key %q: %v", expr, got.query.Key(), err)
		}
		if !(got.factor > 0) {
			t.Errorf("%q: factor %v", expr, got.factor)
		}
	})
}
