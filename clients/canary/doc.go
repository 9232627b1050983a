// Package canary sends one event a second through all of Pulseboard, as any
// producer does, and watches for it as any page does:
//
//	         POST /ingest                                    WS /stream
//	send ────────────────▶ ingest, Kafka, pipeline, Redis ──────────────▶ follow
//	  └───── what was sent, and acknowledged ──▶ ledger ◀── every window ────┘
//
// So it measures, without metrics of the services, how long an event takes from its
// producer to a client, and whether each acknowledged event was counted once.
//
// One number a second says all of it. The event of second s has the value
// 4^(s mod 25), and the one widget shows the sum of the last 25 seconds: in base
// 4, the place of each second holds how often its event is in the window. A sum
// below 4^25 is exact in a float, and 25 s are enough for an event to come late.
//
// The dashboard is the canary's own, and hidden like all whose tag begins with
// "pulseboard:". Its query is grouped by instance: any number of canaries share it.
package canary
