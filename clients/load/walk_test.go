package load

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
)

// golden is the example of each message that all readers of the stream share.
func golden(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob("../../web/testdata/*.json")
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

func TestParseGolden(t *testing.T) {
	want := map[string]message{
		"welcome":   {kind: kindWelcome, serverTime: 1763892060150},
		"dashboard": {kind: kindDashboard},
		"heartbeat": {kind: kindHeartbeat, serverTime: 1763892066150},
		"close":     {kind: kindClose, code: 1012, reconnectAfter: 2000},
		"state":     {kind: kindOther},
		"series":    {kind: kindOther},
		"update": {kind: kindUpdate, serverTime: 1763892061150, results: []result{
			{0, 1763892061000, 1763892060871}, {1, 1763892061000, noTime},
		}},
		"update-unchanged": {kind: kindUpdate, serverTime: 1763892062150, results: []result{{0, 1763892062000, 1763892061871}}},
		"snapshot": {kind: kindSnapshot, reset: true, results: []result{
			{0, 1763892058000, 1763892057871}, {0, 1763892059000, 1763892058871}, {0, 1763892060000, 1763892059871},
		}},
		"snapshot-resume":  {kind: kindSnapshot, results: []result{{0, 1763892061000, 1763892060871}, {0, 1763892062000, 1763892061871}}},
		"snapshot-waiting": {kind: kindSnapshot, index: 1, reset: true},
		"welcome-part":     {kind: kindWelcome, serverTime: 1763892060150, more: true},
		"widgets":          {kind: kindWidgets},
		"snapshot-part":    {kind: kindSnapshot, reset: true, more: true, results: []result{{0, 1763892058000, 1763892057871}, {0, 1763892059000, 1763892058871}}},
		"snapshot-rest":    {kind: kindSnapshot, results: []result{{0, 1763892060000, 1763892059871}}},
		"series-part":      {kind: kindOther, more: true},
	}
	files := golden(t)
	for name, w := range want {
		var m message
		if err := m.parse(files[name]); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if layout := m.layout != nil; layout != (w.kind == kindWelcome || w.kind == kindDashboard || w.kind == kindWidgets) {
			t.Errorf("%s tells of widgets: %v", name, layout)
		}
		m.layout = nil
		if w.index = m.index; name != "state" && name != "series" && name != "snapshot-waiting" && m.index != 0 {
			t.Errorf("%s: index %d", name, m.index)
		}
		if !reflect.DeepEqual(m, w) {
			t.Errorf("%s is read as %+v, want %+v", name, m, w)
		}
	}
}

func TestParse(t *testing.T) {
	good := map[string]struct {
		text string
		want []result
	}{
		"type at the end":        {`{"updates":[[3,20,10,"v",[1]]],"skipped":0,"type":"update"}`, []result{{3, 20, 10}}},
		"escaped names":          {`{"t\u0079pe":"up\u0064ate","updates":[[3,20,10,"v",null]]}`, []result{{3, 20, 10}}},
		"strings with brackets":  {`{"type":"update","x":"]}\"[{","updates":[[0,20,10,"\\\"]",[1e3,-2.5,null],{"start":1}]]}`, []result{{0, 20, 10}}},
		"negative times":         {`{"type":"update","updates":[[0,-20,-10,"v",[]]]}`, []result{{0, -20, -10}}},
		"nothing in it":          {` { "type" : "update" , "updates" : [ ] } `, nil},
		"points of an update":    {`{"type":"update","points":[[20,10]],"updates":[]}`, nil},
		"an unknown type":        {`{"type":"news","updates":[[0,1,2]]}`, nil},
		"no type":                {`{"updates":[[0,1,2]]}`, nil},
		"deeply nested, skipped": {`{"type":"update","x":[[[{"y":[{}]}]]],"updates":[[1,2,null,"v",[[]]]]}`, []result{{1, 2, noTime}}},
	}
	for name, c := range good {
		var m message
		if err := m.parse([]byte(c.text)); err != nil || !slices.Equal(m.results, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, m.results, err, c.want)
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
		var m message
		if err := m.parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

var errOdd = errors.New("odd")

// oracle reads a frame with encoding/json, slowly. errOdd is for what the two may
// read differently: names that come twice.
func oracle(text []byte) (m message, err error) {
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
		m.kind = kindOf([]byte(*s))
	}
	whole(fields["server_time"], &m.serverTime)
	number(fields["index"], &m.index)
	number(fields["skipped"], &m.skipped)
	number(fields["code"], &m.code)
	whole(fields["reconnect_after_ms"], &m.reconnectAfter)
	if raw := fields["reset"]; raw != nil {
		var v *bool
		if json.Unmarshal(raw, &v) != nil || v == nil {
			return m, errors.New("reset is no bool")
		}
		m.reset = *v
	}
	name, at := "", 0
	switch m.kind { //nolint:exhaustive // The others have none.
	case kindUpdate:
		name = "updates"
	case kindSnapshot:
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
			var r result
			if at == 0 {
				number(row[0], &r.index)
			}
			whole(row[1-at], &r.end)
			if r.newest = noTime; !bytes.Equal(row[2-at], []byte("null")) {
				whole(row[2-at], &r.newest)
			}
			m.results = append(m.results, r)
		}
	}
	return m, err
}

// members reads an object, with errOdd for names that come twice.
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
		if _, twice := fields[name]; twice {
			return nil, errOdd
		}
		fields[name] = raw
	}
	return fields, nil
}

// What is JSON is read as encoding/json reads it; what is not does no harm.
func FuzzParse(f *testing.F) {
	for _, b := range golden(f) {
		f.Add(b)
	}
	f.Add([]byte(`{"updates":[[3,20,10,"v",[1]]],"skipped":2,"t\u0079pe":"update"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got message
		err := got.parse(text)
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
		got.layout = nil
		if err == nil && (!slices.Equal(got.results, want.results) || got.kind != want.kind || got.serverTime != want.serverTime ||
			got.index != want.index || got.skipped != want.skipped || got.code != want.code || got.reset != want.reset || got.reconnectAfter != want.reconnectAfter) {
			t.Fatalf("%q is read as %+v, but by encoding/json as %+v", text, got, want)
		}
	})
}

// frameOf is an update of n widgets with one series each, as a gateway writes it.
func frameOf(n int) []byte {
	b := []byte(`{"type":"update","server_time":1763892062150,"updates":[`)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `[%d,1763892062000,1763892061871,"8f3a",[%v]]`, i, 12.25*float64(i))
	}
	return append(b, `],"skipped":0}`...)
}

func BenchmarkParse(b *testing.B) {
	frame := frameOf(20)
	var m message
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if err := m.parse(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseWithEncodingJSON(b *testing.B) {
	frame := frameOf(20)
	b.SetBytes(int64(len(frame)))
	for b.Loop() {
		if _, err := oracle(frame); err != nil {
			b.Fatal(err)
		}
	}
}
