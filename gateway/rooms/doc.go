// Package rooms is the middle layer of the gateway: what the clients of one dashboard share,
// and how what is new for a client is found and encoded.
//
//		feeds.Feed ──Changed──▶ Room ──Wake──▶ Member (a client of package stream)
//		registry's views ──────▶ Room.follow (Layout)
//
//	  - A Room is one dashboard with at least one member: its Layout, and its newest Batch.
//	  - A Reader is where one stream is: a cursor for each widget, the state sent last. The
//	    next frame is a function of the cursors and the feeds (encoder), so that a slow client
//	    needs no queue: what it gets once it can read again is the newest.
//	  - Readers with equal cursors are in sync: the room encodes their next frames once, as a
//	    Batch, and they keep no cursors of their own (batch.go).
//	  - What a frame has no room for goes on in the next, which is encoded when it is written
//	    (docs/protocol.md, "Parts").
//
// Set.mu may be held while Room.mu is taken, and either while feeds' locks are, never the
// other way. Feeds call Room.Changed under their lock: it takes none.
package rooms
