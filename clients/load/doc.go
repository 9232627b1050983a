// Package load puts a running Pulseboard under load and reports whether it held:
// events at a rate by POST /ingest, and many WebSocket clients that check every
// window end they get.
//
//	Run ─┬─ events:  schedule ─▶ senders ─▶ POST /ingest        one goroutine a request under way
//	     ├─ streams: ramp ─▶ dial ─▶ client.read ─▶ account     one goroutine a connection
//	     ├─ sampler: staleness, and silent connections          one goroutine
//	     └─ probe:   how late this process itself is            one goroutine
//
// The load is an open loop: each request has its moment, whether or not the ones
// before were answered, and latencies count from it.
package load
