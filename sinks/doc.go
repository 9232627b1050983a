// Package sinks is where the pipeline ends: results go to Redis, records that
// cannot be counted to the dead-letter topic.
package sinks
