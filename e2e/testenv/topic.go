package testenv

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// ReadPartition visits every record that a partition holds now.
func ReadPartition(t *testing.T, client *kafka.Client, topic string, partition int, visit func(*kafka.Record)) {
	t.Helper()
	for offset, end := int64(0), int64(-1); offset != end; {
		res, err := client.Fetch(t.Context(), &kafka.FetchRequest{Topic: topic, Partition: partition, Offset: offset, MaxBytes: 8 << 20, MaxWait: 100 * time.Millisecond})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			t.Fatal(err)
		}
		end = res.HighWatermark
		for {
			rec, err := res.Records.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if rec.Offset < offset {
				continue // It is of a batch that begins before.
			}
			offset = rec.Offset + 1
			visit(rec)
		}
	}
}
