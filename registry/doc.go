// Package registry keeps the query set and the views of dashboards in Redis
// (docs/protocol.md, "Query registry"). The config service derives both from the
// documents of dashboards and publishes them; pipeline and gateways follow.
//
// Layout, behind the prefix of the installation:
//
//	installation        text   id of the database that writes here
//	queries             hash   metric key → wire.QueryEntry as JSON
//	queries:version     number counts publications; missing = Redis lost the set
//	queries:changed     channel, payload = notice: the version and the keys that changed
//	dashboards          hash   dashboard id → wire.View as JSON
//	dashboards:version  number counts publications; missing = Redis lost them
//	dashboards:changed  channel, payload = notice: the version and the ids that changed
//	limits:runs         hash   processes of the pipeline → 1
//	limits:report:RUN   limits.Report as JSON, of such a process; expires when it is gone
//	limits:cut          the cuts of the newest report, for the next start
//
// A follower takes over the fields that a notice names as long as the versions of
// notices follow each other. After a gap, after each (re-)subscription and when a
// poll finds another version, it reads everything: Pub/Sub delivers at most once,
// and a Redis that was emptied or failed over begins to count again.
package registry
