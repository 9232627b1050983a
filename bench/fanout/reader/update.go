package reader

import (
	"bytes"
)

// update is what is counted of an update message.
type update struct {
	serverTime int64 // Epoch ms.
	end        int64 // The window end of its first result, epoch ms.
	results    int
}

// How far from its beginning the parts of an update are looked for: another
// server puts the name of a channel before them.
const lookWithin = 512

// parseUpdate looks for an update in a message, which is JSON without spaces.
func parseUpdate(message []byte) (u update, ok bool) {
	head := message[:min(len(message), lookWithin)]
	at := bytes.Index(head, []byte(`"type":"update"`))
	if at < 0 {
		return u, false
	}
	if u.serverTime, ok = numberAfter(head[at:], `"server_time":`); !ok {
		return u, false
	}
	// [[index,window_end,…],[index,…],…]
	list := bytes.Index(head[at:], []byte(`"updates":[[`))
	if list < 0 {
		return u, false
	}
	list += at
	comma := bytes.IndexByte(message[list:], ',')
	if comma < 0 {
		return u, false
	}
	if u.end, ok = numberAfter(message[list+comma:], ","); !ok {
		return u, false
	}
	// No value holds these three characters: they stand between two results only.
	u.results = 1 + bytes.Count(message[list:], []byte("],["))
	return u, true
}

// numberAfter reads the whole number that follows name.
func numberAfter(b []byte, name string) (n int64, ok bool) {
	at := bytes.Index(b, []byte(name))
	if at < 0 {
		return 0, false
	}
	b = b[at+len(name):]
	i := 0
	const digits = 18 // More would not be a time.
	for i < len(b) && i < digits && b[i] >= '0' && b[i] <= '9' {
		n = n*10 + int64(b[i]-'0')
		i++
	}
	return n, i > 0
}
