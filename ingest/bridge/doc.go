// Package bridge reads records that others have written to topics of their own, has each of them written as events, and commits
// what is decided: as a member of a consumer group, so any number of processes may share the topics.
//
//		poll ─▶ Begin each record, in order ─▶ wait until all are decided ─▶ dead letters ─▶ commit ─▶ let the group rebalance
//
//	  - An offset is committed only when everything before it is decided: acknowledged by Kafka, refused and counted, or a dead
//	    letter. A process that is killed in between has its records read again, by itself or by another. They are given the same
//	    ids then, by which the pipeline drops those that were written.
//	  - The group does not rebalance between a poll and its commit. So nobody commits what it has not written, nor for a partition
//	    that is another's by now; and who was away for so long that the group went on without it is refused the commit.
//	  - A record is read once its transaction is committed.
//	  - What is in memory is bounded by a part of a poll, and by what a fetch brings. While Kafka does not acknowledge, nothing
//	    further is read.
package bridge
