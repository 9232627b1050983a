package stream

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pulseboard/wire"
)

// Whatever a client says, it is an error or a message whose parts can be used.
func FuzzClientMessage(f *testing.F) {
	for _, text := range []string{
		`{"type":"hello"}`,
		`{"type":"hello","token":"t","resume":{"w":{"key":"m:sum:5s","window_end":1763892060000}},"max_hz":0.5,"vars":{"host":"a","region":["eu","us"]}}`,
		`{"type":"hello","resume":{"w":7},"max_hz":"often","vars":{"host":{}}}`,
		`{"type":1,"token":null,"resume":[],"max_hz":-1,"vars":"x"}`,
		`{"type":"hello","max_hz":1e308}`, `{"type":"hello","max_hz":1e-308}`, `[]`, `"hello"`, `{`, ``, "\xff", `{"vars":{"":["",""]}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := wire.ReadClientMessage(text)
		if (err == nil) != json.Valid(text) {
			t.Fatalf("valid JSON: %t, error: %v", json.Valid(text), err)
		}
		o := optionsOf(&m)
		if o.Every < 0 || o.Every > 24*time.Hour {
			t.Errorf("frames every %v", o.Every)
		}
		for name, values := range o.Choice {
			for _, v := range values {
				if v == "" {
					t.Errorf("%q is to be nothing, which is no value", name)
				}
			}
		}
		// Parts that are as they should be are taken as they are, whatever the others are.
		var whole struct {
			Type   string                      `json:"type"`
			Resume map[string]wire.ResumePoint `json:"resume"`
		}
		if json.Unmarshal(text, &whole) != nil || err != nil || hasOtherCase(text) {
			return
		}
		if m.Type != whole.Type || len(o.Resume) != len(whole.Resume) {
			t.Errorf("%+v, want %+v", m, whole)
		}
		for id, p := range whole.Resume {
			if o.Resume[id] != p {
				t.Errorf("widget %q resumes at %+v, want %+v", id, o.Resume[id], p)
			}
		}
	})
}

// hasOtherCase reports whether a name is one of ours but for its case, which
// encoding/json takes for ours.
func hasOtherCase(text []byte) bool {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(text, &fields) // Of another shape, it has none.
	points := map[string]map[string]json.RawMessage{}
	_ = json.Unmarshal(fields["resume"], &points)
	names := slices.Collect(maps.Keys(fields))
	for _, p := range points {
		names = slices.AppendSeq(names, maps.Keys(p))
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc([]string{"type", "resume", "key", "window_end"}, func(ours string) bool { return name != ours && strings.EqualFold(name, ours) })
	})
}
