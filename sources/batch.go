package sources

import (
	"errors"
	"fmt"
)

// Batch is what the source emits: decoded records in the order of their partition, or one of two
// signals of a shard, which hold none. It never leaves the fused stage, in which the next step turns
// records into tables. These leave the stage as whole slices, since a position is always at the end of one.
type Batch struct {
	Kind         Kind
	CoveredSince int64    // See Position.CoveredSince; not set with Passed.
	PipelineTime int64    // Of the shard, epoch ms; not set with Records, which have their own.
	Records      []Record // Only with Kind Records.
	// Held is where the next step keeps what it has made of records and not emitted yet. It
	// belongs to the reader: one that reads the records again has another.
	Held *any
}

// Kind tells what a Batch is.
type Kind int

// Kinds of batches.
const (
	Records Kind = iota
	Started      // The shard begins at PipelineTime. Emitted once, before any records; not after a restore.
	Passed       // Everything of the slices that end by PipelineTime has been emitted.
)

// A batch has no wire form: the runner fuses the next step with the source. The SDK encodes a few
// elements all the same, to show them, hence the coder. It does not decode: a runner that did not fuse would lose every event.
func encodeBatch(b *Batch) []byte { return fmt.Appendf(nil, "%d records", len(b.Records)) }

var errBatch = errors.New("a batch of records has no wire form: the runner must fuse the step after ReadKafka with it")

func decodeBatch([]byte) (*Batch, error) { return nil, errBatch }
