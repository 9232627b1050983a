package reader

import (
	"bytes"

	"pulseboard/wire"
)

// update is what is counted of an update message.
type update struct {
	serverTime int64 // Epoch ms.
	end        int64 // The window end of its first result, epoch ms.
	results    int
}

// How far from its beginning an update is looked for: another server puts the name
// of a channel before it, and braces after it.
const (
	lookWithin = 512
	envelope   = "}}}"
)

// parseUpdate looks for an update in a message, which is JSON without spaces.
func parseUpdate(m *wire.Message, text []byte) (u update, ok bool) {
	at := bytes.Index(text[:min(len(text), lookWithin)], []byte(`{"type":"update"`))
	if at < 0 {
		return u, false
	}
	if at > 0 {
		text = bytes.TrimSuffix(text, []byte(envelope))
	}
	if m.Read(text[at:]) != nil || m.ServerTime == 0 || len(m.Results) == 0 {
		return u, false
	}
	return update{m.ServerTime, m.Results[0].End, len(m.Results)}, true
}
