package reader

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// golden is a message of protocol.md, as the gateway sends it: without spaces.
func golden(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "web", "testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// pushed is a publication as centrifuge sends it.
func pushed(data []byte) []byte {
	return []byte(`{"push":{"channel":"00fba26d-96b0-5542-a02e-f48dcf2a5963","pub":{"data":` + string(data) + `}}}`)
}

func TestParseUpdate(t *testing.T) {
	two := update{serverTime: 1763892061150, end: 1763892061000, results: 2}
	for name, c := range map[string]struct {
		message []byte
		want    update
		ok      bool
	}{
		"results, one with null and one with an object": {golden(t, "update.json"), two, true},
		"inside a publication":                          {pushed(golden(t, "update.json")), two, true},
		"values as before":                              {golden(t, "update-unchanged.json"), update{1763892062150, 1763892062000, 1}, true},
		"several values of several results": {
			[]byte(`{"type":"update","server_time":7,"updates":[[0,5,4,"a",[1,2]],[1,5,null,"b",null],[19,5,4,"c",[3,4.5,null]]],"skipped":0}`), update{7, 5, 3}, true,
		},
		"a welcome":              {golden(t, "welcome.json"), update{}, false},
		"a snapshot":             {golden(t, "snapshot.json"), update{}, false},
		"a series":               {golden(t, "series.json"), update{}, false},
		"a heartbeat":            {golden(t, "heartbeat.json"), update{}, false},
		"an answer to connect":   {[]byte(`{"id":1,"connect":{"client":"x","version":"","ping":25,"pong":true}}`), update{}, false},
		"an update without time": {[]byte(`{"type":"update","updates":[[0,5,4,"a",[1]]],"skipped":0}`), update{}, false},
		"no results":             {[]byte(`{"type":"update","server_time":7,"updates":[],"skipped":0}`), update{}, false},
		"cut off":                {[]byte(`{"type":"update","server_time":7,"updates":[[0`), update{}, false},
		"nothing":                {nil, update{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseUpdate(c.message)
			if ok != c.ok || ok && got != c.want {
				t.Errorf("%+v, %v; want %+v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

// Whatever update a gateway may send is counted as a decoder of JSON counts it.
func FuzzParseUpdate(f *testing.F) {
	f.Add(int64(1763892061150), int64(1763892061000), `[[1,1763892061000,null,"1c",[0]],[2,5,4,"v",null]]`)
	f.Add(int64(1), int64(2), `[]`)
	f.Add(int64(0), int64(0), `[[0,0,0,"",[1,2,3],{"start":1,"complete":false}],[3,4,5,"x",[]]]`)
	f.Fuzz(func(t *testing.T, serverTime, end int64, others string) {
		var rest [][]any
		if serverTime < 0 || end < 0 || serverTime > 1e15 || end > 1e15 || json.Unmarshal([]byte(others), &rest) != nil || !entries(rest) {
			t.Skip()
		}
		all := append([][]any{{0, end, nil, "8f3a", []any{1.5}}}, rest...)
		text, err := json.Marshal(map[string]any{"updates": all})
		if err != nil {
			t.Fatal(err)
		}
		list := string(text[1 : len(text)-1])
		message := []byte(`{"type":"update","server_time":` + mustJSON(serverTime) + `,` + list + `,"skipped":0}`)
		for _, m := range [][]byte{message, pushed(message)} {
			got, ok := parseUpdate(m)
			if want := (update{serverTime, end, len(all)}); !ok || got != want {
				t.Errorf("%s\n%+v, %v; want %+v", m, got, ok, want)
			}
		}
	})
}

// entries reports whether all are such as protocol.md has: index, times, a
// version, values, an object.
func entries(all [][]any) bool {
	for _, e := range all {
		if len(e) < 5 || len(e) > 6 {
			return false
		}
		for i, v := range e {
			switch v := v.(type) {
			case string:
				if i != 3 || bytes.ContainsAny([]byte(v), `[],"`) { // It is a hexadecimal number.
					return false
				}
			case []any:
				for _, x := range v {
					if _, number := x.(float64); !number && x != nil {
						return false
					}
				}
				if i != 4 {
					return false
				}
			case map[string]any:
				if i != 5 || len(v) > 0 {
					return false
				}
			case float64, nil:
				if i == 3 {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

func mustJSON(v any) string {
	b, _ := json.Marshal(v) // A number.
	return string(b)
}
