// Package grafana turns dashboards of Grafana into ours, as far as they can
// be, and reports what became of every panel and every query.
//
//	JSON ─▶ read ─▶ panels, variables ─▶ translate (PromQL) ─▶ widgets ─▶ arrange ─▶ document
//	                        └─────────────── Report ◀───────────────┘
//
// Prometheus keeps samples of series, Pulseboard aggregates events: what a
// query means can differ although its text looks alike. What is right only
// under a condition is mapped with a note that names it; what would be wrong is
// not mapped, with the reason. docs/grafana.md has the table.
package grafana
