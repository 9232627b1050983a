package sources

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/internal/embedded"
	"pulseboard/internal/kafkaconn"
)

// Records that are missing in the middle of a partition are counted, and only
// those: not the markers of transactions, which have offsets too.
func TestGapsAreCounted(t *testing.T) {
	dir := t.TempDir()
	open := func() *embedded.Kafka {
		k, err := embedded.StartKafka(t.Context(), embedded.KafkaConfig{Dir: dir, Partitions: 1, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Close)
		return k
	}
	const topic = "metric-events"
	k := open()
	produce(t, k.Addr(), topic, time.Now())
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.TransactionalID("t"), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // Offsets 1 to 6: each record is followed by a marker.
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(`{"metric_name":"m","value":1}`)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	for range 4 {
		produce(t, k.Addr(), topic, time.Now())
	}
	read := func(k *embedded.Kafka) (records int, lost int64) {
		r := &reader{options: Options{Topic: topic, SliceMs: 1000, OutOfOrderMs: 200}, broker: newBroker(kafkaconn.At(k.Addr()), topic), arrived: make(chan struct{}, 1)}
		defer r.broker.close()
		c := r.newCursor(found{})
		for quiet := false; !quiet; {
			a, err := r.readOnce(t.Context(), c, time.Time{})
			if err != nil {
				t.Fatal(err, records)
			}
			records += len(a.records)
			lost += a.lost
			quiet = a.quiet
		}
		return records, lost
	}
	if records, lost := read(k); records != 8 || lost != 0 {
		t.Errorf("%d records, %d lost; want 8 and none", records, lost)
	}
	k.Close()

	// The last batch but one, of one record, is damaged.
	path := filepath.Join(dir, "partitions", topic+"-0", "0.dat")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-len(content)/8] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if records, lost := read(open()); records != 7 || lost != 1 {
		t.Errorf("%d records, %d lost; want 7 and 1", records, lost)
	}
}
