// Package gateway brings results to browsers: WS /stream/{dashboard_id} and
// GET /dashboards/{id}/widgets/{wid}/snapshot of protocol.md. It owns nothing
// but its connections.
//
//		Redis channel ──▶ Listener ──▶ feed ──due──▶ board ──wake──▶ client ──frame──▶ browser
//		Redis history ──▶ feed.run ────▲ ▲             ▲                ▲
//		                        sweep ─┘ (states)      └ documents      └ hello, pause, play, resync
//
//	  - A feed is one metric key at one refresh interval: the newest 600 points,
//	    shared by all who look at it.
//	  - A board is one dashboard that somebody looks at: its widgets and clients.
//	  - A client is one connection, a WebSocket or Server-Sent Events. It has no
//	    queue: for each widget it knows the window end that it was told last, and
//	    what comes next follows from that and the feed. So a slow client costs no
//	    memory and holds up nobody, and what it gets once it can read again is the
//	    newest.
//	  - What a frame has no room for goes on in the next, which is made when it is
//	    written (parts.go).
//	  - Clients that were told the same are in step: the board makes their next
//	    frames once (tick.go), and they keep no cursors of their own.
//
// Goroutines: two a board, one a feed, one a client that reads, and a short
// one that writes while there is something to write. All are waited for by
// Service.Run.
package gateway
