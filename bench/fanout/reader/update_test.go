package reader

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"pulseboard/wire"
)

// golden is a message of docs/protocol.md, as the gateway sends it: without spaces.
func golden(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "wire", "testdata", "stream", name))
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
			got, ok := parseUpdate(new(wire.Message), c.message)
			if ok != c.ok || ok && got != c.want {
				t.Errorf("%+v, %v; want %+v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}
