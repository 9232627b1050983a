package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pulseboard/metric"
)

// sample is a result of n series with two tags each; of one without tags when n is 0.
func sample(n int) *Result {
	newest := int64(1763892059871)
	r := &Result{
		Key: `http.request.duration:p95:60s {region="eu"}`, WindowStart: 1763892000000, WindowEnd: 1763892060000, PrevEnd: 1763892059000,
		Due: []int64{1000, 60000}, NewestEvent: &newest, Complete: true, Matched: max(n, 1), SeriesVersion: "8f3a5b1c",
		Series: make([]SeriesValue, max(n, 1)),
	}
	for i := range r.Series {
		r.Series[i] = SeriesValue{Value: Finite(12.53125 + float64(i)/3), Count: 210 + int64(i)}
		if n > 0 {
			r.Series[i].Tags = metric.Tags{{Key: "host", Value: fmt.Sprintf("web-%02d.eu-west-1", i)}, {Key: "region", Value: "eu-west-1"}}
		}
	}
	return r
}

func encode(tb testing.TB, r *Result) string {
	tb.Helper()
	b, err := r.Encode()
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// What Encode writes is read quickly, whatever it is.
func TestQuickReadsWhatEncodeWrites(t *testing.T) {
	for name, change := range map[string]func(*Result){
		"usual":                 func(*Result) {},
		"nothing set":           func(r *Result) { *r = Result{} },
		"waiting":               func(r *Result) { r.Matched, r.Series, r.NewestEvent = 0, nil, nil },
		"incomplete, truncated": func(r *Result) { r.Complete, r.Truncated = false, 7 },
		"no value":              func(r *Result) { r.Series[1].Value = nil },
		"no tags":               func(r *Result) { r.Series[0].Tags = nil },
		"one tag, two tags":     func(r *Result) { r.Series[0].Tags = r.Series[0].Tags[:1] },
		"before 1970":           func(r *Result) { r.WindowStart, *r.NewestEvent = -60_000, -1 },
		"escapes": func(r *Result) {
			r.Series[0].Tags = metric.Tags{{Key: "path", Value: "a\\b\"<>&\n\t\x00\x7f\u2028"}, {Key: "z", Value: `\"`}}
		},
		"beyond ASCII": func(r *Result) { r.Series[0].Tags = metric.Tags{{Key: "city", Value: "Zürich 東京 🚀"}} },
		"what looks like members": func(r *Result) {
			r.Series[0].Tags = metric.Tags{{Key: "a", Value: `":"`}, {Key: "b", Value: `{"tags":`}, {Key: "c", Value: ":"}}
		},
		"large and small": func(r *Result) {
			r.Series[0].Value, r.Series[1].Value, r.Series[2].Value = Finite(math.MaxFloat64), Finite(-math.SmallestNonzeroFloat64), Finite(math.Copysign(0, -1))
		},
		"long decimals": func(r *Result) { r.Series[0].Value, r.Series[1].Value = Finite(1.0/3), Finite(1e21) },
	} {
		t.Run(name, func(t *testing.T) {
			r := sample(3)
			change(r)
			text := encode(t, r)
			got, ok := quickResult(text)
			if !ok {
				t.Fatalf("%s is not read quickly", text)
			}
			if !reflect.DeepEqual(got, r) {
				t.Errorf("%s is read as %s", text, encode(t, got))
			}
		})
	}
}

// Other forms of the same are left to encoding/json, and so is what is wrong.
func TestQuickLeavesTheRest(t *testing.T) {
	const usual = `{"key":"k","window_start":0,"window_end":60000,"prev_end":0,"due":[1000],"newest_event":5,"complete":true,"matched":1,"series_version":"v","series":[{"tags":{"a":"1","b":"2"},"value":1.5,"count":2}],"truncated":0}`
	if _, ok := quickResult(usual); !ok {
		t.Fatalf("%s is not read quickly", usual)
	}
	for _, c := range []struct{ name, old, new string }{
		{"white space", `{"key"`, `{ "key"`},
		{"something after the end", `"truncated":0}`, `"truncated":0} `},
		{"a message that was cut", `"truncated":0}`, `"truncated":0`},
		{"another order", `"key":"k","window_start":0`, `"window_start":0,"key":"k"`},
		{"a member in other letters", `"key"`, `"Key"`},
		{"one more member", `"truncated":0`, `"truncated":0,"more":1`},
		{"a list that is null", `[1000]`, `null`},
		{"a comma too many", `[1000]`, `[1000,]`},
		{"a comma too few", `[1000]`, `[1000 2000]`},
		{"a list without an end", `[1000],`, `[1000,`},
		{"a fraction", `"matched":1`, `"matched":1.0`},
		{"an exponent", `"matched":1`, `"matched":1e0`},
		{"a leading zero", `"matched":1`, `"matched":01`},
		{"a sign alone", `"matched":1`, `"matched":-`},
		{"no number", `"matched":1`, `"matched":`},
		{"19 digits", `60000`, `1000000000000000000`},
		{"more than 64 bits hold", `60000`, `9223372036854775808`},
		{"no decimals", `1.5`, `1.`},
		{"no digits", `1.5`, `.5`},
		{"a plus", `1.5`, `+1.5`},
		{"a value in hexadecimal", `1.5`, `0x1p3`},
		{"a value beyond 64 bits", `1.5`, `1e999`},
		{"a value that is no number", `1.5`, `NaN`},
		{"a value that is a text", `1.5`, `"1.5"`},
		{"tags that are null", `{"a":"1","b":"2"}`, `null`},
		{"tags out of order", `{"a":"1","b":"2"}`, `{"b":"2","a":"1"}`},
		{"a tag twice", `{"a":"1","b":"2"}`, `{"a":"1","a":"2"}`},
		{"a tag twice, written otherwise", `{"a":"1","b":"2"}`, `{"a":"1","\u0061":"2"}`},
		{"a tag without a value", `{"a":"1","b":"2"}`, `{"a":"1","b":""}`},
		{"a text without an end", `"k","window`, `"k`},
		{"a line feed in a text", `"k"`, "\"a\nb\""},
		{"UTF-8 that is none", `"k"`, "\"a\xffb\""},
		{"half a character", `"k"`, `"\ud800"`},
		{"an escape that is none", `"k"`, `"\x"`},
	} {
		text := strings.Replace(usual, c.old, c.new, 1)
		if text == usual {
			t.Fatalf("%s: there is no %s", c.name, c.old)
		}
		if r, ok := quickResult(text); ok {
			t.Errorf("%s: %s is read quickly: %+v", c.name, text, r)
		}
		got, err := DecodeResult(text)
		want := new(Result)
		if wantErr := json.Unmarshal([]byte(text), want); fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%s: %v, want %v", c.name, err, wantErr)
		} else if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

// Series share their memory, but none reaches into another's, nor a result into the caller's bytes.
func TestQuickResultIsItsOwn(t *testing.T) {
	text := encode(t, sample(3))
	body := []byte(text)
	r, err := DecodeResult(body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	r.Series[0].Tags = append(r.Series[0].Tags, metric.Tag{Key: "zone", Value: "a"})
	*r.Series[0].Value = 7
	want := sample(3)
	want.Series[0].Tags = append(want.Series[0].Tags, metric.Tag{Key: "zone", Value: "a"})
	*want.Series[0].Value = 7
	if !reflect.DeepEqual(r, want) {
		t.Errorf("it became %s, want %s", encode(t, r), encode(t, want))
	}
}

// The number of allocations does not depend on the number of series.
func TestQuickResultAllocations(t *testing.T) {
	of := func(n int) float64 {
		text := encode(t, sample(n))
		return testing.AllocsPerRun(100, func() {
			if _, ok := quickResult(text); !ok {
				t.Fatal(text)
			}
		})
	}
	if few, many := of(1), of(MaxSeries); many != few {
		t.Errorf("%v allocations for %d series, %v for one", many, MaxSeries, few)
	}
}

func FuzzQuickResult(f *testing.F) {
	for _, r := range []*Result{sample(0), sample(3), {}, {Series: []SeriesValue{{Tags: metric.Tags{{Key: "a\"", Value: "ü"}}}}}} {
		f.Add([]byte(encode(f, r)))
	}
	f.Add([]byte(`{"key":"","window_start":-0,"window_end":1,"prev_end":0,"due":[],"newest_event":null,"complete":false,"matched":0,"series_version":"","series":[{"tags":{"":"1"},"value":-0,"count":0},{"tags":{},"value":1E+2,"count":0}],"truncated":0}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := quickResult(string(text))
		if !ok {
			return
		}
		want, err := strictResult(text)
		if err != nil {
			t.Fatalf("%q: %v, but is read quickly as %+v", text, err, got)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: quick and strict: %+v and %+v", text, got, want)
		}
		// To the bit: DeepEqual takes 0 and -0 for equal.
		if a, b := encode(t, got), encode(t, want); a != b {
			t.Fatalf("%q: quick and strict: %s and %s", text, a, b)
		}
		// What was written is read quickly again.
		if again, ok := quickResult(encode(t, got)); !ok || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q is written as %s, which is read as %+v", text, encode(t, got), again)
		}
	})
}

func BenchmarkQuickResult(b *testing.B) {
	for _, n := range []int{0, 20} {
		text, err := sample(n).Encode()
		if err != nil {
			b.Fatal(err)
		}
		for _, reader := range []struct {
			name string
			read func([]byte) (*Result, error)
		}{
			{"quick", DecodeResult[[]byte]},
			{"strict", strictResult},
		} {
			b.Run(fmt.Sprintf("series=%d/%s", max(n, 1), reader.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := reader.read(text); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
