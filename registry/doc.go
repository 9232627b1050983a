// Package registry keeps the query set and the dashboards in Redis
// (protocol.md, "Query registry"). The config service publishes them as a
// whole; pipeline and gateway follow them.
//
// Layout, behind the prefix of the installation:
//
//	installation        text   id of the database that writes here
//	queries             hash   metric key → Entry as JSON
//	queries:version     number counts publications; missing = Redis lost the set
//	queries:changed     channel, payload = version
//	dashboards          hash   dashboard id → document as JSON
//	dashboards:version  number counts publications; missing = Redis lost them
//	dashboards:changed  channel, payload = dashboard id
//	limits:runs         hash   processes of the pipeline → 1
//	limits:report:RUN   limits.Report as JSON, of such a process; expires when it is gone
//	limits:cut          the cuts of the newest report, for the next start
//
// Pub/Sub is at most once, so that a message only makes a reader look earlier
// than its next poll; nothing depends on it.
package registry
