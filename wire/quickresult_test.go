package wire

import (
	"bytes"
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

// widest is a distribution of as many bins as there may be, each as long as can be.
func widest() []Bin {
	bins := make([]Bin, MaxBins)
	bound := func(i int) float64 { return (&quickReader{text: fmt.Sprintf("-1.%de+308", 234567-i)}).float() }
	for i := range bins {
		bins[i] = Bin{bound(i), bound(i + 1), 1e18 - 1}
	}
	return bins
}

// What Encode writes is read quickly, whatever it is.
func TestQuickReadsWhatEncodeWrites(t *testing.T) {
	for name, change := range map[string]func(*Result){
		"usual":                 func(*Result) {},
		"nothing set":           func(r *Result) { *r = Result{} },
		"waiting":               func(r *Result) { r.Matched, r.Series, r.NewestEvent = 0, nil, nil },
		"incomplete, truncated": func(r *Result) { r.Complete, r.Truncated = false, 7 },
		"unknown starts":        func(r *Result) { r.UnknownStarts = 12 },
		"coarse histograms":     func(r *Result) { r.Error, r.ReachMs = 0.04424, 360_000 },
		"a small error":         func(r *Result) { r.UnknownStarts, r.Error = 1, 1e-9 },
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
		"distributions": func(r *Result) {
			r.Series[0].Value, r.Series[0].Bins = nil, []Bin{{-2, -1, 1}, {-1e-9, 1e-9, 7}, {0.0078125, 1, 3}, {1, 1.010889, math.MaxInt32}, {1e300, 1.7e308, 2}}
			r.Series[1].Value = nil
			r.Series[2].Value, r.Series[2].Bins = nil, widest()
		},
		"long decimals": func(r *Result) { r.Series[0].Value, r.Series[1].Value = Finite(1.0/3), Finite(1e21) },
	} {
		t.Run(name, func(t *testing.T) {
			r := sample(3)
			if change(r); r.Series == nil {
				r.Due, r.Series = append([]int64{}, r.Due...), []SeriesValue{}
			}
			text := string(r.Encode())
			got, ok := quickResult(text)
			if !ok {
				t.Fatalf("%s is not read quickly", text)
			}
			if !reflect.DeepEqual(got, r) {
				t.Errorf("%s is read as %s", text, got.Encode())
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
		{"no bins", `1.5`, `[]`},
		{"too many bins", `1.5`, `[[0,1,1]` + strings.Repeat(`,[1,1,1]`, MaxBins) + `]`},
		{"a bin that is none", `1.5`, `[7]`},
		{"a bin without a count", `1.5`, `[[1,2]]`},
		{"a bin with more", `1.5`, `[[1,2,3,4]]`},
		{"an empty bin", `1.5`, `[[1,2,0]]`},
		{"half a value in a bin", `1.5`, `[[1,2,1.5]]`},
		{"a bin that falls", `1.5`, `[[2,1,3]]`},
		{"bins that fall", `1.5`, `[[2,3,1],[1,2,1]]`},
		{"bins that overlap", `1.5`, `[[1,3,1],[2,4,1]]`},
		{"white space in bins", `1.5`, `[ [1, 2, 3] ]`},
		{"bins without an end", `1.5`, `[[1,2,3]`},
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
	text := string(sample(3).Encode())
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
		t.Errorf("it became %s, want %s", r.Encode(), want.Encode())
	}
}

// The number of allocations does not depend on the number of series.
func TestQuickResultAllocations(t *testing.T) {
	of := func(n int) float64 {
		text := string(sample(n).Encode())
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
		f.Add(r.Encode())
	}
	f.Add([]byte(`{"key":"","window_start":0,"window_end":1,"prev_end":0,"due":[],"newest_event":null,"complete":false,"matched":0,"series_version":"","series":[{"tags":{},"value":[[-0,0,1],[1.00000004,2e1,30]],"count":31}],"truncated":0}`))
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
		if a, b := string(got.Encode()), string(want.Encode()); a != b {
			t.Fatalf("%q: quick and strict: %s and %s", text, a, b)
		}
		// What was written is read quickly again.
		if again, ok := quickResult(string(got.Encode())); !ok || !bytes.Equal(again.Encode(), got.Encode()) {
			t.Fatalf("%q is written as %s, which is read as %+v", text, got.Encode(), again)
		}
	})
}

func BenchmarkQuickResult(b *testing.B) {
	for _, n := range []int{0, 20} {
		text := sample(n).Encode()
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
