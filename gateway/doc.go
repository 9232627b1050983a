// Package gateway brings results to browsers: WS /stream/{dashboard_id}, the same as
// Server-Sent Events, and GET /dashboards/{id}/widgets/{wid}/snapshot of docs/protocol.md.
// It keeps no state but that of its connections.
//
//	stream   connections: handshake, deadlines, frames as the client can take them
//	  ▼
//	rooms    dashboards: widgets, and what is new of them for a client, encoded
//	  ▼
//	feeds    results: the newest points and the state of each query
//
// Each layer imports only those below it. What comes from below reaches the layer above
// through an interface of the lower one, which has no lock in it or is called under none:
// feeds.Watcher, rooms.Member. So locks are taken downwards only, in the order in which the
// layers stand; the package comments name them. Encoding a frame happens under the client's
// lock, writing it to the network under none.
//
// Goroutines: one a feed, two a room, one a client that reads, and a short-lived
// one that writes while there is something to write. Service.Run waits for all.
package gateway
