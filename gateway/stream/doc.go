// Package stream is the upper layer of the gateway: the connections of clients, as WebSockets
// or Server-Sent Events (docs/protocol.md, "Stream").
//
//	rooms.Room ──Wake──▶ client ──write──▶ link ──▶ browser
//	browser ──▶ link ──read──▶ client (hello, pause, play, resync)
//	Streams.Run ──▶ deadlines: heartbeats, pings, tokens, handshakes, closing
//
// A client has one goroutine that reads, and a short-lived one that writes while there is
// something to write. What to write is composed when the connection takes it: a client has no queue.
//
// client.mu may be held while the locks of rooms and feeds are taken, never the other way;
// Streams.mu while none of them is. A frame is written under no lock.
package stream
