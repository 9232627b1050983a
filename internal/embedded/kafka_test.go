package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

func startKafka(t *testing.T, c KafkaConfig) *Kafka {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	k, err := StartKafka(background(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func produce(t *testing.T, c *kafka.Client, partition int, values ...string) {
	t.Helper()
	records := make([]kafka.Record, 0, len(values))
	for _, v := range values {
		records = append(records, kafka.Record{Time: time.Now(), Value: kafka.NewBytes([]byte(v))})
	}
	res, err := c.Produce(background(t), &kafka.ProduceRequest{
		Topic: "metric-events", Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

// offsets returns the first and the next offset of partition 0.
func offsets(t *testing.T, c *kafka.Client) (first, next int64) {
	t.Helper()
	return offsetsOf(t, c, 0)
}

func offsetsOf(t *testing.T, c *kafka.Client, partition int) (first, next int64) {
	t.Helper()
	ask := func(r kafka.OffsetRequest) kafka.PartitionOffsets {
		res, err := c.ListOffsets(background(t), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{"metric-events": {r}}})
		if err != nil {
			t.Fatal(err)
		}
		p := res.Topics["metric-events"][0]
		if p.Error != nil {
			t.Fatal(p.Error)
		}
		return p
	}
	return ask(kafka.FirstOffsetOf(partition)).FirstOffset, ask(kafka.LastOffsetOf(partition)).LastOffset
}

func TestKafkaKeepsItsRecords(t *testing.T) {
	dir := t.TempDir()
	const partitions, rounds = 3, 50
	k := startKafka(t, KafkaConfig{Dir: dir, Partitions: partitions})
	c := &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}
	for i := range rounds {
		for p := range partitions {
			produce(t, c, p, fmt.Sprint(p, "/", 2*i), fmt.Sprint(p, "/", 2*i+1))
		}
	}
	k.Close()

	k = startKafka(t, KafkaConfig{Dir: dir, Partitions: partitions})
	c = &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}
	for p := range partitions {
		var values []string
		for len(values) < 2*rounds {
			res, err := c.Fetch(background(t), &kafka.FetchRequest{
				Topic: "metric-events", Partition: p, Offset: int64(len(values)), MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second,
			})
			if err == nil {
				err = res.Error
			}
			if err != nil {
				t.Fatal(err)
			}
			for {
				r, err := res.Records.ReadRecord()
				if err != nil {
					break
				}
				v, err := kafka.ReadAll(r.Value)
				if err != nil {
					t.Fatal(err)
				}
				if r.Offset >= int64(len(values)) {
					values = append(values, string(v))
				}
			}
		}
		for i, v := range values {
			if want := fmt.Sprint(p, "/", i); v != want {
				t.Fatalf("partition %d, record %d is %q, want %q", p, i, v, want)
			}
		}
	}
}

// Old records go away, by size and by age, also in a folder that was opened again.
func TestKafkaIsBounded(t *testing.T) {
	dir := t.TempDir()
	const bound = 4 << 20
	c := KafkaConfig{Dir: dir, Partitions: 1, MaxBytes: bound}
	fill := func(k *Kafka) {
		client := &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}
		value := string(make([]byte, 512<<10))
		for range 4 * bound >> 19 {
			produce(t, client, 0, value)
		}
		_, next := offsets(t, client)
		until(t, "the folder is within its bound", func() bool {
			first, _ := offsets(t, client)
			return first > 0 && next-first < bound>>19 && folderBytes(t, dir) <= bound+bound/4
		})
	}
	k := startKafka(t, c)
	fill(k)
	k.Close()

	k = startKafka(t, c)
	fill(k)
	k.Close()

	// The bounds of today hold, not those that the topic was made with.
	c.MaxAge = time.Millisecond
	k = startKafka(t, c)
	client := &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}
	until(t, "everything is too old", func() bool {
		first, next := offsets(t, client)
		return first == next
	})
}

// A flood of one partition costs its own oldest records; the others keep theirs,
// also in a folder that was opened again.
func TestFloodCostsItsOwnPartition(t *testing.T) {
	dir := t.TempDir()
	const bound, partitions = 8 << 20, 8
	c := KafkaConfig{Dir: dir, Partitions: partitions, MaxBytes: bound}
	value := string(make([]byte, 100<<10))
	for range 2 {
		k := startKafka(t, c)
		client := &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}
		for p := 1; p < partitions; p++ {
			produce(t, client, p, value, value) // In all 2.8 MB after two starts.
		}
		for range 4 * bound / len(value) {
			produce(t, client, 0, value)
		}
		until(t, "the folder is within its bound", func() bool { return folderBytes(t, dir) <= bound })
		first, next := offsetsOf(t, client, 0)
		if held := (next - first) * int64(len(value)); first == 0 || held < bound/3 {
			t.Errorf("the flood holds %d bytes of %d, offsets %d to %d", held, bound, first, next)
		}
		for p := 1; p < partitions; p++ {
			if first, _ := offsetsOf(t, client, p); first != 0 {
				t.Errorf("partition %d begins at %d: the flood of another cost it records", p, first)
			}
		}
		k.Close()
	}
}

func TestTheLargestLosesFirst(t *testing.T) {
	held := func() map[int32][]segment {
		return map[int32][]segment{
			0: {{base: 0, size: 10}, {base: 5, size: 10}, {base: 9, size: 10}, {base: 12, size: 3}},
			1: {{base: 0, size: 10}, {base: 7, size: 10}},
			2: {{base: 3, size: 100}}, // It is being written.
			3: nil,
		}
	}
	for bound, want := range map[int64]string{
		200: "map[] map[] 153", 153: "map[] map[] 153", 152: "map[0:5] map[0:10] 143", 142: "map[0:9] map[0:20] 133",
		130: "map[0:9 1:7] map[0:20 1:10] 123", 0: "map[0:12 1:7] map[0:30 1:10] 113",
	} {
		first, removed, left := trim(held(), bound)
		if got := fmt.Sprint(first, removed, left); got != want {
			t.Errorf("%d: %s, want %s", bound, got, want)
		}
	}
}

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx := background(t)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("not so: %s", what)
		case <-tick.C:
		}
	}
}

func folderBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return ignoreGone(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ignoreGone: the broker removes files while they are listed.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func TestKafkaConfigIsChecked(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for name, c := range map[string]KafkaConfig{
		"no folder": {Log: log}, "no log": {Dir: t.TempDir()}, "negative": {Dir: t.TempDir(), Log: log, MaxBytes: -1},
		"port": {Dir: t.TempDir(), Log: log, Addr: "127.0.0.1:99999"},
	} {
		if _, err := StartKafka(background(t), c); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}
