package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// written fills a folder with a partition of several segments, batches of three
// records each, and returns it as it is after a kill or a clean end.
func written(t *testing.T, clean bool) (dir string, batches int) {
	t.Helper()
	dir = t.TempDir()
	k := startKafka(t, KafkaConfig{Dir: dir, Partitions: 2, MaxBytes: 1 << 20})
	c := &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}
	filler := strings.Repeat("x", 4<<10)
	const n = 40 // 12 KB each.
	for i := range n {
		produce(t, c, 0, fmt.Sprint(3*i, filler), fmt.Sprint(3*i+1, filler), fmt.Sprint(3*i+2, filler))
	}
	if clean {
		k.Close()
		return dir, n
	}
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return killed, n
}

// records reads all of partition 0: by offset, the number that each value begins with.
func records(t *testing.T, k *Kafka) map[int64]int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"metric-events": {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, next := offsets(t, &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}})
	found := make(map[int64]int)
	for last := int64(-1); last < next-1; {
		fetches := client.PollFetches(background(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var n int
			if _, err := fmt.Sscanf(string(r.Value), "%d", &n); err != nil {
				t.Fatal(err)
			}
			found[r.Offset] = n
			last = r.Offset
		})
	}
	return found
}

func sortedSegments(t *testing.T, dir string) []segment {
	t.Helper()
	found, err := segmentsOf(filepath.Join(dir, "partitions", "metric-events-0"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A damaged file costs the batches that are damaged, and says how many records.
func TestDamageCostsWhatIsDamaged(t *testing.T) {
	zero := func(b []byte) { clear(b) }
	flip := func(b []byte) { b[0] ^= 0x10 }
	for _, clean := range []bool{false, true} {
		folder, batches := written(t, clean)
		for _, c := range []struct {
			name   string
			which  float64 // Of the segments.
			at     int     // Bytes into the batch.
			n      int     // Bytes that are damaged.
			damage func([]byte)
			keeps  bool // Nothing is lost.
		}{
			{"a bit of a value", 0.5, 2000, 1, flip, false},
			{"a bit of a value in the first segment", 0, 5000, 1, flip, false},
			{"a bit of a value in the last segment", 1, 5000, 1, flip, false},
			{"a bit of an offset", 0.5, 6, 1, flip, true},
			{"a high bit of an offset", 0.5, 1, 1, flip, true},
			{"the sign of an offset", 0.5, 0, 1, func(b []byte) { b[0] ^= 0x80 }, true},
			{"a bit of a length", 0.5, 10, 1, flip, false},
			{"a high bit of a length", 0.5, 8, 1, flip, false},
			{"the magic", 0.5, 16, 1, flip, false},
			{"a checksum", 0.5, 18, 1, flip, false},
			{"a number of records", 0.5, 58, 1, flip, false},
			{"a page of zeroes", 0.5, 3000, 4096, zero, false},
			{"zeroes over three batches", 0.5, 3000, 25 << 10, zero, false},
			{"zeroes over three batches at the beginning", 0, 0, 25 << 10, zero, false},
			{"zeroes over three batches of the last segment", 1, 0, 25 << 10, zero, false},
		} {
			t.Run(fmt.Sprintf("%s, clean %v", c.name, clean), func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
					t.Fatal(err)
				}
				segments := sortedSegments(t, dir)
				if len(segments) < 3 {
					t.Fatalf("%d segments", len(segments))
				}
				s := segments[int(c.which*float64(len(segments)-1))]
				content, err := os.ReadFile(s.path)
				if err != nil {
					t.Fatal(err)
				}
				first, ok := readHead(content)
				if !ok {
					t.Fatal("no batch")
				}
				at := c.at
				if c.which > 0 && c.which < 1 {
					at += first.size // The second batch.
				}
				c.damage(content[at:min(len(content), at+c.n)])
				if err := os.WriteFile(s.path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				lost := make(map[int64]bool)
				if !c.keeps {
					for from := at / first.size; from <= (at+c.n-1)/first.size; from++ {
						for i := range int64(3) {
							lost[s.base+3*int64(from)+i] = true
						}
					}
				}
				d, err := repair(dir, "cluster", nil, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				if d.records != int64(len(lost)) || d.bytes == 0 {
					t.Errorf("repaired %+v, want %d records", d, len(lost))
				}
				k := startKafka(t, KafkaConfig{Dir: dir, Partitions: 2, MaxBytes: 1 << 20})
				check(t, records(t, k), batches, lost)
				// The partition goes on, and a second start finds nothing to mend.
				produce(t, &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}, 0, fmt.Sprint(3*batches))
				k.Close()
				if d, err := repair(dir, "cluster", nil, slog.New(slog.DiscardHandler)); err != nil || d != (damage{}) {
					t.Errorf("a second start: %+v, %v", d, err)
				}
			})
		}
	}
}

func check(t *testing.T, found map[int64]int, batches int, lost map[int64]bool) {
	t.Helper()
	for o := range int64(3 * batches) {
		if n, ok := found[o]; ok == lost[o] || ok && n != int(o) {
			t.Fatalf("offset %d holds %d, %v; lost are %v", o, n, ok, slices.Sorted(maps.Keys(lost)))
		}
	}
}

// What is cut off at the end is gone, and everything before it is there. After a clean end it is known how much.
func TestCutSegments(t *testing.T) {
	for _, clean := range []bool{false, true} {
		folder, batches := written(t, clean)
		for _, last := range []bool{false, true} {
			for _, cut := range []int64{1, 200, 11 << 10, 13 << 10} {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
					t.Fatal(err)
				}
				segments := sortedSegments(t, dir)
				i := len(segments) - 1
				end := int64(3 * batches)
				if !last {
					i--
					end = segments[i+1].base
				}
				info, err := os.Stat(segments[i].path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(segments[i].path, info.Size()-cut); err != nil {
					t.Fatal(err)
				}
				lost := make(map[int64]bool)
				for o := end - 3*(1+cut/12500); o < end; o++ {
					lost[o] = true
				}
				d, err := repair(dir, "cluster", nil, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				if told := d.records == int64(len(lost)); !told && (clean || !last || d.records == 0) {
					t.Errorf("clean %v, last %v, cut %d: repaired %+v, want %d records", clean, last, cut, d, len(lost))
				}
				k := startKafka(t, KafkaConfig{Dir: dir, Partitions: 2, MaxBytes: 1 << 20})
				check(t, records(t, k), batches, lost)
				k.Close()
			}
		}
	}
}

// State files that cannot be read, or are gone, cost no record.
func TestDamagedState(t *testing.T) {
	folder, batches := written(t, true)
	for name, damage := range map[string]func(path string) error{
		"cut":   func(path string) error { return os.Truncate(path, 5) },
		"empty": func(path string) error { return os.Truncate(path, 0) },
		"gone":  os.Remove,
	} {
		for _, file := range []string{"meta.json", "topics.json", "seq_windows.json", "acls.json", "partitions/metric-events-0/snapshot.json"} {
			t.Run(file+" "+name, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
					t.Fatal(err)
				}
				if err := damage(filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
				log := new(bytes.Buffer)
				k, err := StartKafka(context.WithoutCancel(background(t)), KafkaConfig{Dir: dir, Partitions: 2, MaxBytes: 1 << 20, Log: slog.New(slog.NewTextHandler(log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				defer k.Close()
				check(t, records(t, k), batches, nil)
				if name != "gone" && !strings.Contains(file, "/") && !strings.Contains(log.String(), file) {
					t.Errorf("the log does not name %s: %s", file, log)
				}
				produce(t, &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}, 1, "0")
			})
		}
	}
}

// A folder that nobody can mend ends the start with what to do.
func TestFolderThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(`{"version":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := StartKafka(background(t), KafkaConfig{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("%v", err)
	}
}

// Whatever happens to the bytes, what is left are whole batches with rising offsets.
func FuzzSift(f *testing.F) {
	content := make([]byte, 0, 1000)
	for i := range int64(5) {
		content = append(content, emptyBatch(2*i, 2)...)
	}
	f.Add(content, uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, content []byte, seed, kind uint64) {
		chance := rand.New(rand.NewPCG(seed, 1))
		for range kind % 4 {
			if len(content) > 0 {
				content[chance.IntN(len(content))] ^= byte(1 + chance.IntN(255))
			}
		}
		whole, _, d, next := sift(content, 0, -1)
		if whole == nil {
			whole = content
		}
		if again, _, d2, next2 := sift(whole, 0, -1); again != nil || d2.bytes != 0 || next2 != next || d.records < 0 {
			t.Fatalf("%+v, then %+v; next %d, then %d", d, d2, next, next2)
		}
	})
}

// emptyBatch is a batch whose checksum is right, with n records that are not there.
func emptyBatch(first int64, n int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(first))
	b = append(b, make([]byte, batchHead-8)...)
	binary.BigEndian.PutUint32(b[8:], batchHead-12)
	b[16] = 2
	binary.BigEndian.PutUint32(b[23:], uint32(n-1))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

// What was set aside goes after a week.
func TestDamagedFilesAreForgotten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "partitions", "metric-events-0", "0.dat"+damagedSuffix)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := forgetDamaged(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error("it is gone at once")
	}
	if err := forgetDamaged(dir, time.Now().Add(8*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is there after a week: %v", err)
	}
}
