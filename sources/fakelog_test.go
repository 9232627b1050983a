package sources

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/internal/kafkaconn"
)

// fakeLog is a partition in memory, with batches as Kafka keeps them. All but its fields is like Kafka.
type fakeLog struct {
	perFetch int                     // Most batches in a response; 0 = any.
	delay    time.Duration           // By how much responses are late.
	epochs   map[int32]int64         // Ends of epochs.
	fail     func(what string) error // What a request fails with: "fetch", "heads", "offset", "epoch".

	mu       sync.Mutex
	id       [16]byte
	first    int64
	batches  []fakeBatch
	appended chan struct{} // Closed when something is.
	requests []string
}

type fakeBatch struct {
	first, last int64
	times       []int64 // Of its records.
	text        []byte
}

// fakeRecord is one of a metric.
type fakeRecord struct {
	name  string
	at    int64  // Epoch ms.
	id    string // Header id; "" = none.
	value string // "" = one event with the value 1.
}

// Attributes of batches.
const (
	plain         = 0
	stamped       = kafkaconn.Stamped
	logAppendTime = 1 << 3
	transactional = 1 << 4
	control       = 1<<5 | transactional
)

func newFakeLog() *fakeLog { return &fakeLog{id: [16]byte{1}, appended: make(chan struct{})} }

// append writes a batch, and returns the offset of its first record.
func (l *fakeLog) append(attributes int16, producer int64, records ...fakeRecord) int64 {
	raw := make([]kmsg.Record, len(records))
	for i, r := range records {
		value := cmp.Or(r.value, fmt.Sprintf(`{"metric_name":%q,"value":1}`, r.name))
		raw[i] = kmsg.Record{Key: []byte(r.name), Value: []byte(value)}
		if r.id != "" {
			raw[i].Headers = []kmsg.Header{{Key: "traceparent", Value: []byte("x")}, {Key: "id", Value: []byte(r.id)}}
		}
	}
	return l.write(attributes, producer, raw, records)
}

// mark ends the transaction of a producer.
func (l *fakeLog) mark(producer, at int64, commit byte) int64 {
	return l.write(control, producer, []kmsg.Record{{Key: []byte{0, 0, 0, commit}, Value: make([]byte, 6)}}, []fakeRecord{{at: at}})
}

func (l *fakeLog) write(attributes int16, producer int64, raw []kmsg.Record, records []fakeRecord) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.end()
	b := kmsg.RecordBatch{
		FirstOffset: first, PartitionLeaderEpoch: 7, Magic: 2, Attributes: attributes, LastOffsetDelta: int32(len(records) - 1),
		FirstTimestamp: records[0].at, MaxTimestamp: math.MinInt64, ProducerID: producer, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(records)),
	}
	var times []int64
	for i, r := range records {
		b.MaxTimestamp = max(b.MaxTimestamp, r.at)
		times = append(times, r.at)
		raw[i].OffsetDelta, raw[i].TimestampDelta64 = int32(i), r.at-records[0].at
		raw[i].Length = int32(len(raw[i].AppendTo(nil)) - 1) // The length is a varint, of one byte when it is 0.
		b.Records = raw[i].AppendTo(b.Records)
	}
	text := b.AppendTo(nil)
	binary.BigEndian.PutUint32(text[8:], uint32(len(text)-12))
	binary.BigEndian.PutUint32(text[17:], crc32.Checksum(text[21:], crc32.MakeTable(crc32.Castagnoli)))
	l.batches = append(l.batches, fakeBatch{first, first + int64(len(records)) - 1, times, text})
	close(l.appended)
	l.appended = make(chan struct{})
	return first
}

func (l *fakeLog) end() int64 {
	if n := len(l.batches); n > 0 {
		return l.batches[n-1].last + 1
	}
	return l.first
}

// change makes something of the log anew.
func (l *fakeLog) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *fakeLog) request(what string) error {
	l.mu.Lock()
	l.requests = append(l.requests, what)
	l.mu.Unlock()
	if l.fail != nil {
		return l.fail(what)
	}
	return nil
}

// raw is the response to a fetch, nil when there is nothing yet.
func (l *fakeLog) raw(offset int64) (res *kmsg.FetchResponseTopicPartition, appended <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset < l.first || offset > l.end() {
		return nil, nil, kerr.OffsetOutOfRange
	}
	r := kmsg.NewFetchResponseTopicPartition()
	r.HighWatermark, r.LastStableOffset = l.end(), l.end()
	n := 0
	for _, b := range l.batches {
		if b.last >= offset && (l.perFetch == 0 || n < l.perFetch) {
			r.RecordBatches = append(r.RecordBatches, b.text...)
			n++
		}
	}
	return &r, l.appended, nil
}

func (l *fakeLog) fetch(ctx context.Context, offset int64, maxWait time.Duration, _ int32) (*fetched, error) {
	if err := l.request("fetch"); err != nil {
		return nil, err
	}
	res, appended, err := l.raw(offset)
	if err == nil && len(res.RecordBatches) == 0 {
		select {
		case <-appended:
		case <-time.After(maxWait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		res, _, err = l.raw(offset)
	}
	if l.delay > 0 {
		<-time.After(l.delay)
	}
	if err != nil {
		return nil, err
	}
	return decodeFetch(l.topicID(), "events", offset, res)
}

func (l *fakeLog) heads(_ context.Context, offset int64) (iter.Seq[batch], error) {
	if err := l.request("heads"); err != nil {
		return nil, err
	}
	res, _, err := l.raw(offset)
	if err != nil {
		return nil, err
	}
	return batches(res.RecordBatches), nil
}

func (l *fakeLog) offsetAt(_ context.Context, timestamp int64) (int64, error) {
	if err := l.request("offset"); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch timestamp {
	case fromStart:
		return l.first, nil
	case toEnd:
		return l.end(), nil
	}
	for _, b := range l.batches {
		if i := slices.IndexFunc(b.times, func(at int64) bool { return at >= timestamp }); i >= 0 {
			return b.first + int64(i), nil
		}
	}
	return -1, nil
}

func (l *fakeLog) endOfEpoch(_ context.Context, epoch int32) (int64, error) {
	if err := l.request("epoch"); err != nil {
		return 0, err
	}
	if end, ok := l.epochs[epoch]; ok {
		return end, nil
	}
	return 0, errors.New("no such epoch")
}

func (l *fakeLog) topicID() [16]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

func (l *fakeLog) forgetLeaders() { _ = l.request("forget") }

// asked counts the requests of a kind.
func (l *fakeLog) asked(what string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.requests {
		if r == what {
			n++
		}
	}
	return n
}

// retain deletes what is before an offset that begins a batch.
func (l *fakeLog) retain(first int64) {
	l.change(func() {
		l.first = first
		l.batches = slices.DeleteFunc(l.batches, func(b fakeBatch) bool { return b.first < first })
	})
}

// fakeTopic is a topic whose partitions are fakeLogs.
type fakeTopic struct {
	mu   sync.Mutex
	logs []*fakeLog
	err  error
}

func (t *fakeTopic) partitions(context.Context) (ids []int32, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.logs {
		ids = append(ids, int32(i))
	}
	return ids, t.err
}

func (t *fakeTopic) log(partition int32) partitionLog { return t.logs[partition] }

func (t *fakeTopic) set(err error, logs ...*fakeLog) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.logs, t.err = logs, err
}

func testOptions() *Options {
	return &Options{Topic: "events", SliceMs: 1000, OutOfOrderMs: 200, MaxFutureMs: 2000, LatenessMs: 60_000}
}

func optionsFrom(startMs int64) *Options {
	o := testOptions()
	o.StartMs = startMs
	return o
}

func noSetBack(error, time.Time) {}

var quietly = slog.New(slog.DiscardHandler)

func newTestScanner(log partitionLog, o *Options, at Offset) *scanner {
	return newScanner(log, o, at, newRoom(o.ReadBytes), quietly, noSetBack)
}

// readOnce is read, with all that it handed over in one response.
func (s *scanner) readOnce(ctx context.Context, maxWait time.Duration) (all response, err error) {
	err = s.read(ctx, time.Now().Round(0), maxWait, func(a *response) bool {
		a.records, a.lost = slices.Concat(all.records, a.records), all.lost+a.lost
		all = *a
		return true
	})
	return all, err
}

// readAll reads a log from an offset to its end.
func readAll(t *testing.T, log partitionLog, o *Options, at Offset) (all []Record) {
	t.Helper()
	for s, caughtUp := newTestScanner(log, o, at), false; !caughtUp; {
		a, err := s.readOnce(t.Context(), time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		all, caughtUp = append(all, a.records...), a.caughtUp
	}
	return all
}

const minute = int64(60_000)

// base is when the clock of a synctest bubble begins, epoch ms.
const base = int64(946_684_800_000)
