package wire

import (
	"encoding/json"
)

// ResumePoint is where a client stood with a widget when its last connection ended.
type ResumePoint struct {
	Key       string `json:"key"` // The key_id that a message gave the widget, or its metric key.
	WindowEnd int64  `json:"window_end"`
}

// HelloMessage is the first of a client.
type HelloMessage struct {
	Type   string                 `json:"type" ts:"\"hello\""`
	Token  string                 `json:"token,omitempty"`
	Resume map[string]ResumePoint `json:"resume,omitempty"`                                                         // By widget_id.
	MaxHz  float64                `json:"max_hz,omitempty"`                                                         // At most so many update frames a second.
	Points int                    `json:"points,omitempty"`                                                         // At most so many points in a snapshot that begins anew.
	Vars   map[string]any         `json:"vars,omitempty" ts:"Readonly<Record<string, string | readonly string[]>>"` // The value to be shown, or several, by variable.
}

// NewHello is a hello that asks for everything.
func NewHello() HelloMessage { return HelloMessage{Type: "hello"} }

// ClientMessage is a message of a client as a server takes it: members of the wrong
// type are absent, so that one of them costs no other.
type ClientMessage struct {
	Type   string
	Token  string
	Resume map[string]ResumePoint
	MaxHz  float64
	Points int
	Vars   map[string][]string
}

// ReadClientMessage fails on text that is not JSON. JSON of another shape is a
// message of an unknown type.
func ReadClientMessage(b []byte) (m ClientMessage, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		if json.Valid(b) {
			return m, nil
		}
		return m, err
	}
	var resume, vars map[string]json.RawMessage
	_ = json.Unmarshal(fields["type"], &m.Type)
	_ = json.Unmarshal(fields["token"], &m.Token)
	_ = json.Unmarshal(fields["resume"], &resume)
	_ = json.Unmarshal(fields["max_hz"], &m.MaxHz)
	_ = json.Unmarshal(fields["points"], &m.Points)
	_ = json.Unmarshal(fields["vars"], &vars)
	m.Resume = make(map[string]ResumePoint, len(resume))
	for id, raw := range resume {
		var p ResumePoint
		if json.Unmarshal(raw, &p) == nil {
			m.Resume[id] = p
		}
	}
	m.Vars = make(map[string][]string, len(vars))
	for name, raw := range vars {
		// A value, or several.
		var one string
		var many []string
		if json.Unmarshal(raw, &one) == nil {
			m.Vars[name] = []string{one}
		} else if json.Unmarshal(raw, &many) == nil {
			m.Vars[name] = many
		}
	}
	return m, nil
}
