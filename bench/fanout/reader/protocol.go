package reader

// Protocol is how a server is spoken to.
type Protocol struct {
	Name        string
	Path        func(id string) string
	Subprotocol string
	// Hello is what a client says first.
	Hello func(id string) string
	// Ping is a message that asks for Pong, "" = only WebSocket's own pings.
	Ping, Pong string
}

// Pulseboard is the gateway's stream.
func Pulseboard() Protocol {
	return Protocol{
		Name:        "gateway",
		Path:        func(id string) string { return "/stream/" + id },
		Subprotocol: "pulseboard.v1",
		Hello:       func(string) string { return `{"type":"hello"}` },
	}
}

// Centrifuge is a channel named as the dashboard, of the library of that name.
func Centrifuge() Protocol {
	return Protocol{
		Name:        "centrifuge",
		Path:        func(string) string { return "/connection/websocket" },
		Subprotocol: "centrifuge-json",
		Hello: func(id string) string {
			return `{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"` + id + `"}}`
		},
		Ping: "{}", Pong: "{}",
	}
}
