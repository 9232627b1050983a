// Package gateway brings results to browsers: WS /stream/{dashboard_id} and
// GET /dashboards/{id}/widgets/{wid}/snapshot of docs/protocol.md. It keeps no state
// but that of its connections.
//
//		Redis channel ──▶ Listener ──▶ feed ──due──▶ room ──scheduleWrite──▶ client ──frame──▶ browser
//		Redis history ──▶ feed.run ────▲ ▲            ▲                        ▲
//		                        sweep ─┘ (states)     └ views                  └ hello, pause, play, resync
//
//	  - A feed is one metric key at one refresh interval: the newest 600 points,
//	    shared by all widgets that show it.
//	  - A room is one dashboard with at least one client: its layout and its clients.
//	  - A client is one connection, a WebSocket or Server-Sent Events. It has no
//	    queue: it has a cursor for each widget, the state sent last, and the next frame
//	    is a function of the cursors and the feeds (deltaEncoder). So a slow client
//	    costs no memory and delays no other, and what it gets once it can read again is
//	    the newest.
//	  - What a frame has no room for goes on in the next, which is encoded when it is
//	    written (docs/protocol.md, "Parts").
//	  - Clients with equal cursors are in sync: the room encodes their next frames once,
//	    as a batch, and they keep no cursors of their own (batch.go).
//
// Goroutines: two a room, one a feed, one a client that reads, and a short-lived
// one that writes while there is something to write. Service.Run waits for all.
//
// Locks, in the order in which they may be taken while others are held:
//
//	hub.mu ─▶ room.mu
//	client.mu ─▶ room.mu
//	client.mu ─▶ feed.mu
//
// No others are held together, and no two of a kind. Each guards the fields below it in its
// struct. Encoding a frame happens under client.mu and takes feed.mu for moments;
// writing it to the network happens under no lock.
package gateway
