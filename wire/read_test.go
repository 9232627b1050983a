package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// goldenMessages is the example of each message that all readers of the stream share.
func goldenMessages(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob("testdata/stream/*.json")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no golden messages: %v", err)
	}
	out := make(map[string][]byte)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".json")] = b
	}
	return out
}

func TestReadGolden(t *testing.T) {
	want := map[string]Message{
		"welcome":   {Kind: KindWelcome, ServerTime: 1763892060150},
		"dashboard": {Kind: KindDashboard},
		"heartbeat": {Kind: KindHeartbeat, ServerTime: 1763892066150},
		"close":     {Kind: KindClose, Code: 1012, ReconnectAfterMs: 2000},
		"state":     {Kind: KindState},
		"series":    {Kind: KindSeries},
		"update": {Kind: KindUpdate, ServerTime: 1763892061150, Results: []Received{
			{0, 1763892061000, 1763892060871}, {1, 1763892061000, NoTime},
		}},
		"update-unchanged": {Kind: KindUpdate, ServerTime: 1763892062150, Results: []Received{{0, 1763892062000, 1763892061871}}},
		"snapshot": {Kind: KindSnapshot, Reset: true, Results: []Received{
			{0, 1763892058000, 1763892057871}, {0, 1763892059000, 1763892058871}, {0, 1763892060000, 1763892059871},
		}},
		"snapshot-resume":  {Kind: KindSnapshot, Results: []Received{{0, 1763892061000, 1763892060871}, {0, 1763892062000, 1763892061871}}},
		"snapshot-waiting": {Kind: KindSnapshot, Index: 1, Reset: true},
		"welcome-part":     {Kind: KindWelcome, ServerTime: 1763892060150, More: true},
		"widgets":          {Kind: KindWidgets},
		"snapshot-part":    {Kind: KindSnapshot, Reset: true, More: true, Results: []Received{{0, 1763892058000, 1763892057871}, {0, 1763892059000, 1763892058871}}},
		"snapshot-rest":    {Kind: KindSnapshot, Results: []Received{{0, 1763892060000, 1763892059871}}},
		"series-part":      {Kind: KindSeries, More: true},
	}
	files := goldenMessages(t)
	for name, w := range want {
		var m Message
		if err := m.Read(files[name]); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if w.Index = m.Index; name != "state" && name != "series" && name != "snapshot-waiting" && m.Index != 0 {
			t.Errorf("%s: index %d", name, m.Index)
		}
		if !reflect.DeepEqual(m, w) {
			t.Errorf("%s is read as %+v, want %+v", name, m, w)
		}
	}
}

func TestRead(t *testing.T) {
	good := map[string]struct {
		text string
		want []Received
	}{
		"type at the end":        {`{"updates":[[3,20,10,"v",[1]]],"skipped":0,"type":"update"}`, []Received{{3, 20, 10}}},
		"escaped names":          {`{"t\u0079pe":"up\u0064ate","updates":[[3,20,10,"v",null]]}`, []Received{{3, 20, 10}}},
		"strings with brackets":  {`{"type":"update","x":"]}\"[{","updates":[[0,20,10,"\\\"]",[1e3,-2.5,null],{"start":1}]]}`, []Received{{0, 20, 10}}},
		"negative times":         {`{"type":"update","updates":[[0,-20,-10,"v",[]]]}`, []Received{{0, -20, -10}}},
		"nothing in it":          {` { "type" : "update" , "updates" : [ ] } `, nil},
		"points of an update":    {`{"type":"update","points":[[20,10]],"updates":[]}`, nil},
		"an unknown type":        {`{"type":"news","updates":[[0,1,2]]}`, nil},
		"no type":                {`{"updates":[[0,1,2]]}`, nil},
		"deeply nested, skipped": {`{"type":"update","x":[[[{"y":[{}]}]]],"updates":[[1,2,null,"v",[[]]]]}`, []Received{{1, 2, NoTime}}},
	}
	for name, c := range good {
		var m Message
		if err := m.Read([]byte(c.text)); err != nil || !slices.Equal(m.Results, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, m.Results, err, c.want)
		}
	}
	bad := map[string]string{
		"":                                    "ends early",
		"[]":                                  `'[' instead of '{'`,
		`{"type":"update"`:                    "ends early",
		`{"type":"update"} x`:                 "something follows",
		`{"type":1}`:                          `'1' instead of '"'`,
		`{"server_time":1.5}`:                 "not a whole number",
		`{"server_time":1e3}`:                 "not a whole number",
		`{"index":-1}`:                        "out of range",
		`{"skipped":99999999999}`:             "out of range",
		`{"server_time":1234567890123456789}`: "not a whole number",
		`{"type":"update","updates":[[0,1]]}`: `']' instead of ','`,
		`{"type":"update","updates":[[0,null,1,""]]}`: "not a whole number",
		`{"reset":1}`: "neither true nor false",
	}
	for text, want := range bad {
		var m Message
		if err := m.Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

var errOdd = errors.New("odd")

// oracle reads a frame with encoding/json, slowly. errOdd is for what the two may
// read differently: names that come twice, or are no Unicode.
func oracle(text []byte) (m Message, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	fields, err := members(dec)
	if err != nil {
		return m, err
	}
	whole := func(raw json.RawMessage, into *int64) {
		var v int64
		if e := json.Unmarshal(raw, &v); raw != nil && (e != nil || bytes.Equal(raw, []byte("null")) || len(bytes.TrimLeft(raw, "-")) > 18) {
			err = fmt.Errorf("%s is not whole", raw)
		}
		*into = v
	}
	number := func(raw json.RawMessage, into *int) {
		var v int64
		if whole(raw, &v); v < 0 || v > 1<<31-1 {
			err = fmt.Errorf("%s is out of range", raw)
		}
		*into = int(v)
	}
	if raw := fields["type"]; raw != nil {
		var s *string
		if json.Unmarshal(raw, &s) != nil || s == nil {
			return m, errors.New("the type is no string")
		}
		if strings.ContainsRune(*s, utf8.RuneError) {
			return m, errOdd
		}
		m.Kind = kindOf([]byte(*s))
	}
	whole(fields["server_time"], &m.ServerTime)
	number(fields["index"], &m.Index)
	number(fields["skipped"], &m.Skipped)
	number(fields["code"], &m.Code)
	whole(fields["reconnect_after_ms"], &m.ReconnectAfterMs)
	if raw := fields["reset"]; raw != nil {
		var v *bool
		if json.Unmarshal(raw, &v) != nil || v == nil {
			return m, errors.New("reset is no bool")
		}
		m.Reset = *v
	}
	name, at := "", 0
	switch m.Kind {
	case KindUpdate:
		name = "updates"
	case KindSnapshot:
		name, at = "points", 1
	}
	if raw := fields[name]; name != "" && raw != nil {
		var rows [][]json.RawMessage
		if json.Unmarshal(raw, &rows) != nil || rows == nil {
			return m, errors.New("no rows")
		}
		for _, row := range rows {
			if len(row)+at < 3 || row == nil {
				return m, errors.New("too short")
			}
			var r Received
			if at == 0 {
				number(row[0], &r.Index)
			}
			whole(row[1-at], &r.End)
			if r.Newest = NoTime; !bytes.Equal(row[2-at], []byte("null")) {
				whole(row[2-at], &r.Newest)
			}
			m.Results = append(m.Results, r)
		}
	}
	return m, err
}

// members reads an object, with errOdd for names that come twice or are no Unicode.
func members(dec *json.Decoder) (map[string]json.RawMessage, error) {
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no object")
	}
	fields := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		if _, twice := fields[name]; twice || strings.ContainsRune(name, utf8.RuneError) {
			return nil, errOdd
		}
		fields[name] = raw
	}
	return fields, nil
}

// What is JSON is read as encoding/json reads it; what is not does no harm.
func FuzzRead(f *testing.F) {
	for _, b := range goldenMessages(f) {
		f.Add(b)
	}
	f.Add([]byte(`{"updates":[[3,20,10,"v",[1]]],"skipped":2,"t\u0079pe":"update"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got Message
		err := got.Read(text)
		if !json.Valid(text) {
			return
		}
		want, wantErr := oracle(text)
		if errors.Is(wantErr, errOdd) {
			return
		}
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("%q: %v, but encoding/json: %v", text, err, wantErr)
		}
		if err == nil && (!slices.Equal(got.Results, want.Results) || got.Kind != want.Kind || got.ServerTime != want.ServerTime ||
			got.Index != want.Index || got.Skipped != want.Skipped || got.Code != want.Code || got.Reset != want.Reset || got.ReconnectAfterMs != want.ReconnectAfterMs) {
			t.Fatalf("%q is read as %+v, but by encoding/json as %+v", text, got, want)
		}
	})
}

// frameOf is an update of n widgets with one series each, as a gateway writes it.
func updateOf(n int) []byte {
	b := []byte(`{"type":"update","server_time":1763892062150,"updates":[`)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `[%d,1763892062000,1763892061871,"8f3a",[%v]]`, i, 12.25*float64(i))
	}
	return append(b, `],"skipped":0}`...)
}

func BenchmarkRead(b *testing.B) {
	text := updateOf(20)
	var m Message
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Read(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadWithEncodingJSON(b *testing.B) {
	text := updateOf(20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := oracle(text); err != nil {
			b.Fatal(err)
		}
	}
}
