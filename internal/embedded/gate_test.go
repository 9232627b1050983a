package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func connect(t *testing.T, addr string) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(background(t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ended waits until the other side has closed a connection.
func ended(t *testing.T, c net.Conn, what string) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
		t.Errorf("%s: %v, want the end", what, err)
	}
}

// versions asks what a broker understands, as every client does first.
func versions(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write(frame(18, 0, nil)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 8)
	if _, err := io.ReadFull(c, answer); err != nil || binary.BigEndian.Uint32(answer[4:]) != 7 {
		t.Fatalf("%x, %v", answer, err)
	}
	if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(answer))-4); err != nil {
		t.Fatal(err)
	}
}

// frame is a request of a client without a name.
func frame(key, version int16, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(10+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 7)
	b = binary.BigEndian.AppendUint16(b, 0xffff)
	return append(b, body...)
}

// Messages that are none take no memory and end their connection; one of a kind
// that Kafka does not know would end the process.
func TestWrongMessagesTakeNoMemory(t *testing.T) {
	k := startKafka(t, KafkaConfig{Dir: t.TempDir()})
	length := func(n uint32, rest int) []byte {
		return append(binary.BigEndian.AppendUint32(nil, n), make([]byte, rest)...)
	}
	post := []byte("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\nFLUSHALL\r\n")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var open []net.Conn
	say := func(n int, what []byte) {
		for range n {
			c := connect(t, k.Addr())
			_, _ = c.Write(what) // It may be closed already.
			open = append(open, c)
		}
	}
	say(40, post)
	say(40, length(1<<31-1, 0))
	say(50, length(1<<30, 100))
	say(10, length(0xffffffff, 0))
	say(10, length(0, 100))
	say(10, []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}) // TLS.
	say(10, frame(999, 0, nil))
	say(10, frame(-1, 0, nil))
	say(10, frame(3, 99, nil))
	say(10, frame(3, -1, nil))
	say(10, frame(0, 9, append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, make([]byte, 100)...))) // 2^32 tags.
	say(10, frame(1, 4, make([]byte, 100<<10)))                                              // A fetch of 100 KB.
	for i, c := range open {
		ended(t, c, fmt.Sprint("message ", i))
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d MB were allocated for %d wrong messages", grown>>20, len(open))
	}
	versions(t, connect(t, k.Addr()))
}

// Bodies of every kind of request that mean nothing leave the broker as it was.
func TestRubbishInRequests(t *testing.T) {
	k := startKafka(t, KafkaConfig{Dir: t.TempDir(), Partitions: 1})
	chance := rand.New(rand.NewPCG(1, 2))
	for key := range int16(kmsg.MaxKey + 1) {
		form := kmsg.RequestForKey(key)
		if form == nil {
			continue
		}
		for range 20 {
			body := make([]byte, chance.IntN(200))
			for i := range body {
				body[i] = byte(chance.IntN(4)) // Small numbers get further than large ones.
			}
			c := connect(t, k.Addr())
			if _, err := c.Write(frame(key, int16(chance.IntN(int(form.MaxVersion())+1)), body)); err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
	}
	c := &kafka.Client{Addr: kafka.TCP(k.Addr()), Transport: &kafka.Transport{}}
	produce(t, c, 0, "still there")
}

// Clients that send as much as they may are served as ever.
func TestLargeBatchesPass(t *testing.T) {
	const partitions = 16
	k := startKafka(t, KafkaConfig{Dir: t.TempDir(), Partitions: partitions})
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(time.Second), kgo.ProducerBatchMaxBytes(1_000_012), kgo.ConsumeTopics("metric-events"), kgo.FetchMaxBytes(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var wg sync.WaitGroup
	value := make([]byte, 249<<10)
	const each = 8
	for i := range each * partitions {
		wg.Add(1)
		client.Produce(background(t), &kgo.Record{Topic: "metric-events", Partition: int32(i % partitions), Value: value}, func(_ *kgo.Record, err error) {
			defer wg.Done()
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for n := 0; n < each*partitions; {
		fetches := client.PollFetches(background(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		n += fetches.NumRecords()
	}
}

// startGate serves a broker that answers each request with its own first bytes.
func startGate(t *testing.T, l gateLimits) *gate {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(background(t), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(ln, l, slog.New(slog.DiscardHandler))
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := g.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close() //nolint:errcheck // It was served.
				size := make([]byte, 4)
				for {
					if _, err := io.ReadFull(c, size); err != nil {
						return
					}
					body := make([]byte, binary.BigEndian.Uint32(size))
					if _, err := io.ReadFull(c, body); err != nil {
						return
					}
					_, _ = c.Write(append([]byte{0, 0, 0, 4}, body[4:8]...)) // The client sees whether it came.
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = g.Close()
		serving.Wait()
	})
	return g
}

func served(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write(frame(3, 1, make([]byte, 4))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
}

// What does not come whole is thrown out, and gives its room back.
func TestHalfRequestsEnd(t *testing.T) {
	l := gateFor(16)
	l.request = 300 * time.Millisecond
	l.room = weight(0, 3<<20)
	g := startGate(t, l)
	addr := g.Addr().String()
	half := frame(0, 3, make([]byte, 2<<20))
	var halves []net.Conn
	for _, n := range []int{0, 1, 4, 7, 12, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20} {
		c := connect(t, addr)
		_, _ = c.Write(half[:n])
		halves = append(halves, c)
	}
	for i, c := range halves {
		ended(t, c, fmt.Sprint("half request ", i))
	}
	until(t, "all room is free again", func() bool {
		free := g.room.TryAcquire(l.room)
		if free {
			g.room.Release(l.room)
		}
		return free
	})
	served(t, connect(t, addr))
}

// The bound of connections costs those that have said nothing.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	l := gateFor(16)
	l.request = time.Hour
	l.connections = 20
	g := startGate(t, l)
	addr := g.Addr().String()
	used := connect(t, addr)
	served(t, used)
	var silent []net.Conn
	for range 50 {
		silent = append(silent, connect(t, addr))
	}
	fresh := connect(t, addr)
	served(t, fresh)
	for i, c := range silent[:50-20+2] {
		ended(t, c, fmt.Sprint("silent connection ", i))
	}
	served(t, used)
	served(t, fresh)
}

// A client that sends requests without waiting gets its answers in order, and
// those without an answer do not hold up the next.
func TestRequestsInARow(t *testing.T) {
	k := startKafka(t, KafkaConfig{Dir: t.TempDir(), Partitions: 1})
	c := connect(t, k.Addr())
	var all []byte
	noAnswer := binary.BigEndian.AppendUint32([]byte{0xff, 0xff, 0, 0}, 1000) // No transaction, acks 0, a second.
	noAnswer = binary.BigEndian.AppendUint32(noAnswer, 0)
	for range 100 {
		all = append(all, frame(0, 3, noAnswer)...)
		all = append(all, frame(18, 0, nil)...)
	}
	go func() { _, _ = c.Write(all) }()
	for range 100 {
		size := make([]byte, 4)
		if _, err := io.ReadFull(c, size); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(size))); err != nil {
			t.Fatal(err)
		}
	}
}
