// Package catalog keeps in Redis which metrics there are: their tags, how many
// series they have, and what came last. The pipeline publishes it, readers such
// as the config service hold a copy (docs/catalog.md).
//
// Layout:
//
//	catalog          hash    metric_name → Entry as JSON
//	catalog:version  number  counts writes; a reader looks at the hash only when it differs
//	catalog:alive    text    missing or another one = Redis was emptied, and all is written again
//	catalog:sweeper  text    of the process that removes what nobody refreshes, for a minute
//
// There is no channel that tells of changes: something changes with nearly each
// look, so that a message would say nothing that the next look does not.
package catalog
