// Package feeds keeps in memory what Redis has of the results that are watched, and says
// how current it is. It is the lowest layer of the gateway:
//
//	Redis channels ──▶ Listener ──▶ Feed ──Changed──▶ Watcher (a room)
//	Redis histories ──▶ Feed.run ───▲ ▲
//	                     Set.Run ─────┘ states by time, lost messages, limits
//
// A Feed is one metric key at one refresh interval: its newest 600 points, shared by all
// widgets that show it. Messages bring new points; the history is read at the start and
// whenever a message may have been missed.
//
// Set.mu guards the Set and who watches which feed, Feed.mu what is in a feed. Neither is
// taken while the other is held.
package feeds
