package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// Every form of a text: which events, and in which line each begins.
func TestScan(t *testing.T) {
	for _, c := range []struct {
		name, text string
		format     Format
		want       []string
		fault      string
	}{
		{"ndjson", "\ufeff{\"a\":1}\r\n\n  {\"a\":2}  \n{\"a\":3}", NDJSON, []string{`1 {"a":1}`, `3 {"a":2}`, `4 {"a":3}`}, ""},
		{"lines", "# head\ncpu v=1\n\ncpu v=2\n#x\n", Lines, []string{"2 cpu v=1", "4 cpu v=2"}, ""},
		{"one", "{\n \"a\": 1\n}", JSON, []string{`1 {  "a": 1 }`}, ""},
		{"array", "\n[\n {\"a\":1}, {\"a\":\n2},\n{\"a\":[3,{\"b\":4}]} ]\n", JSON, []string{`3 {"a":1}`, `3 {"a": 2}`, `5 {"a":[3,{"b":4}]}`}, ""},
		{"events", "{\"events\":[\n{\"a\":1},\n\n{\"a\":2}],\"x\":[1]}", JSON, []string{`2 {"a":1}`, `4 {"a":2}`}, ""},
		{"one after the other", "\ufeff{\"a\":1} {\"a\":2}\n[{\"a\":3}]{\"events\":[]}\n{\"events\":1}", JSON, []string{`1 {"a":1}`, `1 {"a":2}`, `2 {"a":3}`, `3 {"events":1}`}, ""},
		{"nothing", "", JSON, nil, ""},
		{"twice the same", `{"a":1,"a":2}`, JSON, []string{`1 {"a":1,"a":2}`}, ""},
		{"broken", "{\"a\":1}\n{\"a\":2}\n{\"a\" 3}\n{\"a\":4}", JSON, []string{`1 {"a":1}`, `2 {"a":2}`}, "line 3: it is not JSON: "},
		{"cut off", "[{\"a\":1},\n{\"a\":", JSON, []string{`1 {"a":1}`}, "line 2: the JSON ends before it is complete"},
		{"cut off after an event", "[{\"a\":1}\n", JSON, []string{`1 {"a":1}`}, "line 2: the JSON ends before it is complete"},
		{"long", strings.Repeat("x", maxItem+1), NDJSON, nil, "line 1 is longer than 1048576 bytes"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
			var got []string
			err := scan(r, c.format, func(i item) error {
				got = append(got, fmt.Sprintf("%d %s", i.line, i.text))
				return nil
			})
			if !slices.Equal(got, c.want) || (err != nil) != (c.fault != "") || err != nil && !strings.HasPrefix(err.Error(), c.fault) {
				t.Errorf("%s: %q, %v; want %q, %s", c.name, got, err, c.want, c.fault)
			}
		}
	}
	for name, want := range map[string]Format{"a.json": JSON, "a.NDJSON": NDJSON, "a.lp": Lines, "a.txt cpu v=1": Lines, "- \n {}": JSON, "- [": JSON, "- ": Lines} {
		file, begin, _ := strings.Cut(name, " ")
		if got := guess(file, []byte(begin)); got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
}

// request is what a server got.
type request struct{ path, key, kind, token, body string }

// serve answers with each of these in turn, the last one again and again: a status, a space, and the body.
func serve(t *testing.T, answers ...string) (url string, got *[]request) {
	t.Helper()
	got = new([]request)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		answer := answers[min(len(*got), len(answers)-1)]
		*got = append(*got, request{r.URL.String(), r.Header.Get("Idempotency-Key"), r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)})
		status, text, _ := strings.Cut(answer, " ")
		if status == "cut" {
			panic(http.ErrAbortHandler)
		}
		var code int
		_, _ = fmt.Sscan(status, &code)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

// A request that is not answered, or with what passes, is sent again: the same bytes with the same key. The next one has another key.
func TestRepeats(t *testing.T) {
	url, got := serve(t, "cut", `503 {"detail":"Kafka is away"}`, "200 {\"accepted\":5000,\"rejected\":0}", "429", "200 {\"accepted\":1,\"rejected\":0}")
	var told []Sum
	text := strings.Repeat("{\"metric_name\":\"m\",\"value\":1}\n", batchEvents+1)
	sum, err := Send(t.Context(), Config{Server: url, Token: "secret", Name: "f", Format: NDJSON, Retry: time.Minute, Progress: func(s Sum) { told = append(told, s) }, Say: t.Output()}, strings.NewReader(text))
	if err != nil || sum != (Sum{Stored: batchEvents + 1, Bytes: int64(len(text))}) {
		t.Fatalf("%+v, %v", sum, err)
	}
	if len(*got) != 5 {
		t.Fatalf("%d requests", len(*got))
	}
	first, last := (*got)[0], (*got)[4]
	if (*got)[1] != first || (*got)[2] != first || (*got)[3] != last || first.key == last.key || first.key == "" || first.body+last.body != text {
		t.Errorf("keys %q %q", first.key, last.key)
	}
	if first.path != "/ingest" || first.kind != "application/x-ndjson" || first.token != "Bearer secret" {
		t.Errorf("%s %s %s", first.path, first.kind, first.token)
	}
	if len(told) != 2 || told[0].Stored != batchEvents || told[1] != sum {
		t.Errorf("%+v", told)
	}
	again, err := Send(t.Context(), Config{Server: url, Name: "f", Format: NDJSON, Key: "backup-7", Say: t.Output()}, strings.NewReader("{}"))
	if err != nil || again.Stored != 1 || (*got)[5].key != "backup-7-1" {
		t.Errorf("%+v, %v, %q", again, err, (*got)[5].key)
	}
}

// What is refused is named by its line in the text, of the first ones; the rest is counted.
func TestRefusals(t *testing.T) {
	url, _ := serve(t, `200 {"accepted":2,"rejected":1,"errors":[{"index":1,"code":"value_missing","detail":"value is missing"}],"warnings":[{"member":"ts","count":2,"index":0,"detail":"it is passed over"}]}`)
	var said bytes.Buffer
	sum, err := Send(t.Context(), Config{Server: url, Name: "f.json", Format: Auto, Say: &said}, strings.NewReader("[\n{},\n\n{},{}]"))
	if want := "f.json, line 4: value_missing: value is missing\nf.json, line 2: warning: member \"ts\": it is passed over\n"; err != nil || sum.Stored != 2 || sum.Refused != 1 || said.String() != want {
		t.Errorf("%+v, %v: %s", sum, err, said.String())
	}

	answer := `400 {"accepted":0,"rejected":30,"errors":[`
	for i := range 25 {
		answer += fmt.Sprintf(`{"index":%d,"code":"c","detail":"d"},`, i)
	}
	url, _ = serve(t, strings.TrimSuffix(answer, ",")+"]}")
	said.Reset()
	sum, err = Send(t.Context(), Config{Server: url, Name: "f", Format: NDJSON, Say: &said}, strings.NewReader(strings.Repeat("{}\n", 30)))
	if lines := strings.Split(said.String(), "\n"); err != nil || sum.Refused != 30 || len(lines) != 22 || lines[19] != "f, line 20: c: d" || lines[20] != "f: 10 more are refused" {
		t.Errorf("%+v, %v: %q", sum, err, said.String())
	}

	url, got := serve(t, `400 {"code":"invalid","message":"partial write: 1 of 3 values are refused: malformed: line 2, byte 4: x dropped=1","line":2}`, "204")
	said.Reset()
	sum, err = Send(t.Context(), Config{Server: url, Name: "f", Format: Lines, Precision: "s", Say: &said}, strings.NewReader("# x\na v=1\n\nb\nc v=1\n"))
	if want := "f, line 4: partial write: 1 of 3 values are refused: malformed: line 4, byte 4: x dropped=1\n"; err != nil || sum.Stored != 2 || sum.Refused != 1 || said.String() != want {
		t.Errorf("%+v, %v: %s", sum, err, said.String())
	}
	if r := (*got)[0]; r.path != "/api/v2/write?precision=s" || r.body != "a v=1\nb\nc v=1\n" {
		t.Errorf("%+v", r)
	}
}

// What cannot be sent ends the sending, and the error says where, and why.
func TestTrouble(t *testing.T) {
	for answer, want := range map[string]string{
		`401 {"title":"Unauthorized","detail":"a token is needed"}`:      "f, line 1: URL answered 401: a token is needed",
		`404 {"detail":"there is nothing"}`:                              "f, line 1: URL answered 404: there is nothing",
		"200 <html>":                                                     "f, line 1: URL answered 200: <html>",
		`503 {"detail":"Kafka is away"}`:                                 "f, line 1: some events may be stored or not: URL answered 503: Kafka is away",
		`200 {"accepted":7,"rejected":0}`:                                `f, line 1: URL answered 200: {"accepted":7,"rejected":0}`,
		`413 {"code":"request too large","message":"the body has more"}`: "f, line 1: URL answered 413: the body has more",
	} {
		url, _ := serve(t, answer)
		_, err := Send(t.Context(), Config{Server: url, Name: "f", Format: NDJSON, Say: t.Output()}, strings.NewReader("{}"))
		if err == nil || err.Error() != strings.ReplaceAll(want, "URL", url) {
			t.Errorf("%s: %v", answer, err)
		}
	}
	if _, err := Send(t.Context(), Config{Server: "http://127.0.0.1:1", Name: "f", Format: NDJSON, Say: t.Output()}, strings.NewReader("{}")); !errors.Is(err, errGivenUp) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Send(ctx, Config{Server: "http://127.0.0.1:1", Name: "f", Format: NDJSON, Retry: time.Minute, Say: t.Output()}, strings.NewReader("{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	// What stands before a fault of the text is sent.
	url, got := serve(t, `200 {"accepted":1,"rejected":0}`)
	sum, err := Send(t.Context(), Config{Server: url, Name: "f", Format: JSON, Say: t.Output()}, strings.NewReader("{}\n}"))
	if err == nil || !strings.HasPrefix(err.Error(), "f: line 2: it is not JSON") || sum.Stored != 1 || len(*got) != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
}
