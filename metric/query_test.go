package metric_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pulseboard/metric"
)

func filter(t *testing.T, doc string) metric.Filter {
	t.Helper()
	var f metric.Filter
	if err := json.Unmarshal([]byte(doc), &f); err != nil {
		t.Fatalf("filter %s: %v", doc, err)
	}
	return f
}

func TestKeyIsCanonical(t *testing.T) {
	for _, c := range []struct {
		name  string
		query metric.Query
		doc   string
		want  string
	}{
		{"plain", metric.Query{Metric: "a", Aggregation: "sum", WindowSeconds: 5}, `{}`, `a:sum:5s`},
		{"colons in the name", metric.Query{Metric: "ns:a/b-c", Aggregation: "count", WindowSeconds: 1}, `{}`, `ns:a/b-c:count:1s`},
		{
			"the example of docs/protocol.md",
			metric.Query{Metric: "api.request.latency", Aggregation: "avg", WindowSeconds: 60, GroupBy: []string{"host"}},
			`{"region":"eu","host":["b","a"]}`, `api.request.latency:avg:60s {host in ("a","b"), region="eu"} by (host)`,
		},
		{
			"sorted, unique group_by and delay",
			metric.Query{Metric: "m", Aggregation: "max", WindowSeconds: 3600, DelaySeconds: 7, GroupBy: []string{"z", "a", "z"}},
			`{}`, `m:max:3600s delay 7s by (a, z)`,
		},
		{
			"every operator",
			metric.Query{Metric: "m", Aggregation: "min", WindowSeconds: 2},
			`{"a":{"not":"x"},"b":{"not":["y","x","y"]},"c":{"exists":true},"d":{"exists":false},"e":{"prefix":"/api"},"f":["one"]}`,
			`m:min:2s {a!="x", b not in ("x","y"), exists c, not exists d, e^="/api", f="one"}`,
		},
		{
			"regular expressions",
			metric.Query{Metric: "m", Aggregation: "min", WindowSeconds: 2},
			`{"a":{"regex":"\"x|y.+"},"b":{"not_regex":".*z","regex":"q"},"c":{"is":"d","regex":".*"}}`,
			`m:min:2s {a=~"\"x|y.+", b!~".*z", b=~"q", c="d", c=~".*"}`,
		},
		{"several terms of a tag", metric.Query{Metric: "m", Aggregation: "min", WindowSeconds: 2}, `{"a":{"prefix":"x","not":"xy"}}`, `m:min:2s {a!="xy", a^="x"}`},
		{"quoted text", metric.Query{Metric: "m", Aggregation: "sum", WindowSeconds: 2}, `{"a":"say \"hi\", } by (x)\n"}`, `m:sum:2s {a="say \"hi\", } by (x)\n"}`},
		{
			"words of the grammar as tags",
			metric.Query{Metric: "m", Aggregation: "sum", WindowSeconds: 2, GroupBy: []string{"by"}},
			`{"in":["a","b"],"not":["c","d"],"exists":{"not":["e","f"]}}`, `m:sum:2s {exists not in ("e","f"), in in ("a","b"), not in ("c","d")} by (by)`,
		},
		{
			"names and keys in UTF-8",
			metric.Query{Metric: `°C "x":sum:5s`, Aggregation: "sum", WindowSeconds: 2, GroupBy: []string{"app.kubernetes.io/name", "a, b", "z"}},
			`{"m³/h":"x","not exists":{"exists":false},"in":["a","b"],"a\"b":{"prefix":"y"}}`,
			`"°C \"x\":sum:5s":sum:2s {"a\"b"^="y", in in ("a","b"), "m³/h"="x", not exists "not exists"} by ("a, b", "app.kubernetes.io/name", z)`,
		},
		{"a name that begins with a digit", metric.Query{Metric: "5xx", Aggregation: "sum", WindowSeconds: 2}, `{}`, `"5xx":sum:2s`},
		{"existence of tags named so", metric.Query{Metric: "m", Aggregation: "sum", WindowSeconds: 2}, `{"in":{"exists":true},"not":{"exists":false}}`, `m:sum:2s {exists in, not exists not}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.query.Filter = filter(t, c.doc)
			if err := c.query.Validate(); err != nil {
				t.Fatal(err)
			}
			key := c.query.Key()
			if key != c.want {
				t.Fatalf("key is\n%s, want\n%s", key, c.want)
			}
			back, err := metric.ParseKey(key)
			if err != nil {
				t.Fatal(err)
			}
			if back.Key() != key {
				t.Errorf("parsed and formatted again: %s", back.Key())
			}
			b, err := json.Marshal(c.query)
			if err != nil {
				t.Fatal(err)
			}
			var q metric.Query
			if err := json.Unmarshal(b, &q); err != nil || q.Key() != key {
				t.Errorf("through JSON %s: %s, %v", b, q.Key(), err)
			}
		})
	}
}

func TestParseKeyTakesCanonicalTextOnly(t *testing.T) {
	for _, key := range []string{
		"", ":", "a:sum", "a:sum:5", "a:sum:5s ", "a:sum:0s", "a:sum:05s", "a:sum:-5s", "a:sum:90000s", "a:median:5s", "1a:sum:5s",
		"a:sum:5s first count", "a:rate:5s first", "a:rate:5s first sum", "a:rate:5s first count delay 7s", "a:rate:5s first countx", "a:sum:5s delay 0s", "a:sum:5s delay s", "a:sum:5s {}", `a:sum:5s {b="x"`, `a:sum:5s {b="x",c="y"}`, `a:sum:5s {c="x", b="y"}`,
		`a:sum:5s {b in ("x")}`, `a:sum:5s {b in ("y","x")}`, `a:sum:5s {b=""}`, `a:sum:5s {b="x"} `, "a:sum:5s by ()", "a:sum:5s by (b,a)", "a:sum:5s by (b, a)",
		"a:sum:5s by (a, a)", "a:sum:5s by (a", `a:sum:5s {exists }`, `a:sum:5s {not b}`, "a:sum:5s by (a) {exists b}",
	} {
		if q, err := metric.ParseKey(key); !errors.Is(err, metric.ErrKey) {
			t.Errorf("%q parses as %+v, %v", key, q, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(`api.request.latency:avg:60s {host in ("a","b"), region="eu"} by (host)`)
	f.Add(`m:rate:2s delay 7s first count {exists in} by (a)`)
	f.Add(`m:sum:2s delay 7s {exists in, not exists not, a^="\u00e9", b not in ("x","y")} by (a, z)`)
	f.Fuzz(func(t *testing.T, key string) {
		q, err := metric.ParseKey(key)
		if err != nil {
			return
		}
		if q.Key() != key {
			t.Fatalf("%q formats as %q", key, q.Key())
		}
		b, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		var again metric.Query
		if err := json.Unmarshal(b, &again); err != nil || again.Key() != key {
			t.Fatalf("%q through JSON %s: %q, %v", key, b, again.Key(), err)
		}
	})
}

func TestFilterMatch(t *testing.T) {
	tags := func(s string) metric.Tags {
		m := map[string]string{}
		for p := range strings.FieldsSeq(s) {
			k, v, _ := strings.Cut(p, "=")
			m[k] = v
		}
		return metric.NewTags(m)
	}
	for _, c := range []struct {
		doc  string
		yes  []string
		no   []string
		note string
	}{
		{`{"a":"x"}`, []string{"a=x", "a=x b=y"}, []string{"", "a=y", "b=x"}, ""},
		{`{"a":["x","y"]}`, []string{"a=x", "a=y"}, []string{"", "a=z"}, ""},
		{`{"a":{"not":"x"}}`, []string{"", "a=y"}, []string{"a=x"}, "also true when absent"},
		{`{"a":{"not":["x","y"]}}`, []string{"", "a=z"}, []string{"a=x", "a=y"}, "also true when absent"},
		{`{"a":{"exists":true}}`, []string{"a=x"}, []string{"", "a="}, "an empty value is absent"},
		{`{"a":{"exists":false}}`, []string{"", "a=", "b=x"}, []string{"a=x"}, ""},
		{`{"a":{"prefix":"ab"}}`, []string{"a=ab", "a=abc"}, []string{"", "a=a", "a=b"}, ""},
		{`{"a":{"regex":"a|b.c"}}`, []string{"a=a", "a=bxc"}, []string{"", "a=ab", "a=xa"}, "the whole value must match"},
		{`{"a":{"regex":"(?i)get|"}}`, []string{"", "a=GeT"}, []string{"a=gets"}, "an absent tag is the empty value"},
		{`{"a":{"not_regex":"x.*"}}`, []string{"", "a=yx"}, []string{"a=x", "a=xy"}, "also true when absent"},
		{`{"a":{"not_regex":".*"}}`, nil, []string{"", "a=x"}, ""},
		{`{"a":"x","b":"y"}`, []string{"a=x b=y"}, []string{"a=x", "b=y"}, "all terms must hold"},
		{`{}`, []string{"", "a=x"}, nil, ""},
	} {
		f := filter(t, c.doc)
		for _, s := range c.yes {
			if !f.Match(tags(s)) {
				t.Errorf("%s does not match %q (%s)", c.doc, s, c.note)
			}
		}
		for _, s := range c.no {
			if f.Match(tags(s)) {
				t.Errorf("%s matches %q (%s)", c.doc, s, c.note)
			}
		}
	}
}

// As in Prometheus, a dot of a regular expression matches all characters.
func TestRegexOfLines(t *testing.T) {
	if !filter(t, `{"a":{"regex":"b.c"}}`).Match(metric.NewTags(map[string]string{"a": "b\nc"})) {
		t.Error("a dot does not match the end of a line")
	}
}

func TestFilterErrorsNameTheFix(t *testing.T) {
	for doc, want := range map[string]string{
		`[]`:                                    "must be an object",
		`{"a":1}`:                               `filter of tag "a" must be a string`,
		`{"a":[]}`:                              `filter of tag "a" must be a string`,
		`{"a":[null]}`:                          `filter of tag "a" must be a string`,
		`{"a":{}}`:                              `filter of tag "a" must be a string`,
		`{"a":{"like":"x"}}`:                    `unknown member "like"`,
		`{"a":{"exists":1}}`:                    `member "exists" has a value of the wrong type`,
		`{"a":{"prefix":["x"]}}`:                "",
		`{"a":{"prefix":[1]}}`:                  `member "prefix" has a value of the wrong type`,
		`{"a":{"regex":["x","y"]}}`:             `member "regex" has a value of the wrong type`,
		`{"a":{"regex":""}}`:                    `use {"exists":false}`,
		`{"a":{"regex":"("}}`:                   "cannot be read: error parsing regexp: missing closing )",
		`{"a":{"not_regex":"x{1000}"}}`:         "at most 1000 steps",
		`{"a":{"regex":"((x{10}){10}){10}y+"}}`: "at most 1000 steps",
		`{"a":{"regex":"x)|(y"}}`:               "cannot be read",
		`{"a":{"regex":"\\pN\\C"}}`:             "cannot be read",
		`{"a":""}`:                              `use {"exists":false}`,
		`{"a\tb":"x"}`:                          "tag key",
		`{"a":{"not":["x",null]}}`:              `member "not" has a value of the wrong type`,
	} {
		var f metric.Filter
		err := json.Unmarshal([]byte(doc), &f)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", doc, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", doc, err, want)
		}
	}
}

func TestTagsKeyKeepsDifferentTagsApart(t *testing.T) {
	all := []map[string]string{nil, {"a": "b"}, {"a": "bc"}, {"ab": "c"}, {"a": "\x00b", "c": "d"}, {"a": "\x00"}, {"a": "\x00\x01"}, {"a": "x\x00y\x00"}, {"a.b": "c"}, {"a": "\x01"}, {"a": "b", "c": "d"}, {"a": strings.Repeat("ä", 128)}}
	seen := map[string]int{}
	for i, m := range all {
		tags := metric.NewTags(m)
		key := string(tags.AppendKey(nil))
		if j, dup := seen[key]; dup {
			t.Errorf("%v and %v have one key", all[i], all[j])
		}
		seen[key] = i
		back, err := metric.ParseTagsKey(key)
		if err != nil || !slices.Equal(back, tags) {
			t.Errorf("%v reads back as %v, %v", tags, back, err)
		}
		for j := range i {
			other := metric.NewTags(all[j])
			if a, b := strings.Compare(key, string(other.AppendKey(nil))), tags.Compare(other); a != b {
				t.Errorf("keys of %v and %v compare as %d, their tags as %d", tags, other, a, b)
			}
		}
		for n := 1; n < len(key); n++ {
			if back, err := metric.ParseTagsKey(key[:n]); err == nil && slices.Equal(back, tags) {
				t.Errorf("%d of %d bytes of %v read as the whole", n, len(key), tags)
			}
		}
	}
}

// The distribution of a classic histogram is read from its buckets, in the trees of whoever groups by their bound.
func TestOfBuckets(t *testing.T) {
	for key, want := range map[string]string{
		`x_bucket:p95:60s`:                         `x_bucket by (le)`,
		`x_bucket:histogram:60s {a="b"} by (host)`: `x_bucket {a="b"} by (host, le)`,
		`x_bucket:p95:60s by (le)`:                 "",
		`x_bucket:rate:60s`:                        "",
		`x:p95:60s`:                                "",
	} {
		q, err := metric.ParseKey(key)
		if err != nil {
			t.Fatal(err)
		}
		inner, ok := q.OfBuckets()
		if ok != (want != "") || ok && inner.Selector() != want || !ok && inner.Key() != key || q.Key() != key {
			t.Errorf("%s: %v, %s", key, ok, inner.Selector())
		}
		if reach := q.Reach() == q.JoinReach(); reach != (ok || q.Aggregation.Grows()) {
			t.Errorf("%s reaches %v back", key, q.Reach())
		}
	}
	tags, bound, ok := metric.NewTags(map[string]string{"a": "b", "le": "+Inf"}).CutBound()
	if !ok || !math.IsInf(bound, 1) || tags.String() != `{"a":"b"}` {
		t.Errorf("%v, %v, %v", tags, bound, ok)
	}
	for _, none := range []string{"", "much", "NaN"} {
		if _, bound, ok := metric.NewTags(map[string]string{"le": none}).CutBound(); ok {
			t.Errorf("the bound %q is %v", none, bound)
		}
	}
}
