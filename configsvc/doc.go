// Package configsvc owns the dashboards: an HTTP API that checks and keeps
// them, and a publisher that derives the query set from them and brings both
// to Redis (docs/protocol.md, "Dashboards" and "Query registry").
//
//	editors ─▶ Handler ─▶ Store (SQL) ─▶ publisher ─▶ registry (Redis) ─▶ pipeline, gateway
//	                          └── wakes ───────┘
//
// The database is the truth. What Redis holds is a function of it and is
// compared every second, so that an emptied Redis becomes whole again.
package configsvc
