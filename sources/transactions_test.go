package sources

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/internal/kafkaconn"
)

// writers write a partition as an ordinary producer and as several with
// transactions, and know what counts, in which order.
type writers struct {
	t      *testing.T
	addr   string
	plain  *kgo.Client
	others []*kgo.Client
	open   [][]string // What each of others has written since it began; nil = it has not.
	counts []string
	n      int
}

const writersTopic = "events"

func newWriters(t *testing.T, transactional int) *writers {
	t.Helper()
	cluster := newCluster(t, 1, writersTopic)
	w := &writers{t: t, addr: cluster.ListenAddrs()[0], open: make([][]string, transactional)}
	w.plain = w.client()
	for i := range transactional {
		w.others = append(w.others, w.client(kgo.TransactionalID(fmt.Sprint("writer-", i)), kgo.ProducerBatchCompression(kgo.Lz4Compression())))
	}
	return w
}

func (w *writers) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(w.addr), kgo.DefaultProduceTopic(writersTopic), kgo.ProducerLinger(0))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

func (w *writers) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *writers) record() (name string, rec *kgo.Record) {
	name = fmt.Sprint("m", w.n)
	w.n++
	return name, kgo.KeyStringRecord(name, fmt.Sprintf(`{"metric_name":%q,"value":1}`, name))
}

func (w *writers) write() {
	w.t.Helper()
	name, rec := w.record()
	w.must(w.plain.ProduceSync(w.t.Context(), rec).FirstErr())
	w.counts = append(w.counts, name)
}

// send writes records in the transaction of a writer, which begins if there is none.
func (w *writers) send(writer, records int) {
	w.t.Helper()
	if w.open[writer] == nil {
		w.must(w.others[writer].BeginTransaction())
		w.open[writer] = []string{}
	}
	for range records {
		name, rec := w.record()
		w.must(w.others[writer].ProduceSync(w.t.Context(), rec).FirstErr())
		w.open[writer] = append(w.open[writer], name)
	}
}

func (w *writers) end(writer int, commit kgo.TransactionEndTry) {
	w.t.Helper()
	w.must(w.others[writer].EndTransaction(w.t.Context(), commit))
	if commit {
		w.counts = append(w.counts, w.open[writer]...)
	}
	w.open[writer] = nil
}

// consume reads from an offset to the end of the partition, as the read loop does it: what counted,
// where each record stands in the log, and the position after each.
func (w *writers) consume(from Offset) (names []string, at []int64, positions []Offset) {
	w.t.Helper()
	b := newBroker(kafkaconn.At(w.addr), writersTopic)
	defer b.close()
	o := testOptions()
	p, queue := newTestPartition(o, assignment{Offset: from, end: -1})
	for s, caughtUp := newTestScanner(b.log(0), o, from), false; !caughtUp; {
		err := s.read(w.t.Context(), time.Now(), time.Millisecond, func(a *response) bool {
			queue <- *a
			p.collect()
			for rec := p.peek(); rec != nil; rec = p.peek() {
				for _, e := range rec.Events {
					names = append(names, e.Metric)
				}
				at = append(at, rec.place())
				p.take()
				positions = append(positions, p.Offset)
			}
			caughtUp = a.caughtUp
			return true
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return names, at, positions
}

func (w *writers) want(what string, got, want []string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: counted %v, want %v", what, got, want)
	}
}

// A marker is the last of a partition, as long as nobody writes to it: the reader
// comes to the end of the log all the same.
func TestATransactionOfOneRecordEnds(t *testing.T) {
	w := newWriters(t, 1)
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		w.send(0, 1)
		w.end(0, commit)
		names, _, _ := w.consume(Offset{})
		w.want("at the end of the log", names, w.counts)
	}
}

// An open transaction holds nobody up. What it holds counts at its commit.
func TestAnOpenTransactionHoldsNobody(t *testing.T) {
	w := newWriters(t, 2)
	w.send(0, 2)
	w.send(1, 1)
	w.write()
	names, _, _ := w.consume(Offset{})
	w.want("while they are open", names, w.counts)
	w.end(1, kgo.TryAbort)
	w.write()
	w.end(0, kgo.TryCommit)
	names, _, _ = w.consume(Offset{})
	w.want("after the commit", names, w.counts)
	if names[len(names)-1] == "m3" {
		t.Error("what was committed counts before its commit")
	}
}

// Whatever producers do, each committed record counts once, where its marker is;
// also after a restart at any position, in the middle of a transaction too, and for
// a read that begins at any offset.
func TestTransactionsCountOnceFromEveryPosition(t *testing.T) {
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWriters(t, 3)
		for range 60 {
			writer := rnd.IntN(len(w.others))
			switch n := rnd.IntN(10); {
			case n < 3:
				w.write()
			case n < 7 || w.open[writer] == nil:
				w.send(writer, 1+rnd.IntN(4))
			case n < 9:
				w.end(writer, kgo.TryCommit)
			default:
				w.end(writer, kgo.TryAbort)
			}
		}
		names, at, positions := w.consume(Offset{})
		w.want(fmt.Sprint("seed ", seed), names, w.counts)
		for i, p := range positions {
			rest, _, _ := w.consume(p)
			w.want(fmt.Sprintf("seed %d, from %+v", seed, p), rest, names[i+1:])
		}
		for start := range at[len(at)-1] + 1 {
			first, _ := slices.BinarySearch(at, start)
			rest, _, _ := w.consume(Offset{Next: start, From: -1})
			w.want(fmt.Sprintf("seed %d, from offset %d", seed, start), rest, names[first:])
		}
	}
}

// What was open where a read begins is found by the time of a marker: the clock of the
// producer whose record the read begins with may be anything.
func TestNoClockHidesAnOpenTransaction(t *testing.T) {
	for name, at := range stamps {
		t.Run(name, func(t *testing.T) {
			w := newWriters(t, 1)
			w.send(0, 2)
			writeAt(t, w.addr, writersTopic, "another", at(time.Now().UnixMilli()))
			w.end(0, kgo.TryCommit)
			names, _, _ := w.consume(Offset{Next: 2, From: -1})
			w.want("from the record of the other clock", slices.DeleteFunc(names, func(n string) bool { return n == "another" }), w.counts)
		})
	}
}

// What is open, what a restart needs to know of it, and what a marker does.
func TestOpenTransactions(t *testing.T) {
	var records []*kgo.Record
	log := newFakeLog()
	for _, producer := range []int64{1, 2, 1} {
		log.append(transactional, producer, fakeRecord{name: "m", at: base + 100*producer})
	}
	log.mark(1, base, 0)
	log.mark(2, base, 1)
	log.mark(3, base, 1)
	if err := each(t.Context(), log, 0, 6, func(l logged) { records = append(records, l.Record) }); err != nil {
		t.Fatal(err)
	}
	open := newTransactions(0, 0)
	if open.from(7) != 7 || open.openSince() != 0 {
		t.Errorf("none is open, and a restart needs %d", open.from(7))
	}
	for _, rec := range records[:3] {
		open.add(rec)
	}
	if open.from(3) != 0 || open.openSince() != base+100 {
		t.Errorf("a restart needs %d, open since %d", open.from(3), open.openSince()-base)
	}
	aborted := counted(t, abortedRecords)
	if open.end(records[3]) != nil || open.from(4) != 1 || open.openSince() != base+200 || counted(t, abortedRecords)-aborted != 2 {
		t.Errorf("after an abort a restart needs %d, open since %d", open.from(4), open.openSince()-base)
	}
	if got := open.end(records[4]); got == nil || got.first != 1 || open.from(5) != 1 {
		t.Errorf("%+v is committed, and a restart needs %d", got, open.from(5))
	}
	if open.remove(records[4]); open.from(5) != 5 || open.end(records[5]) != nil {
		t.Errorf("after a commit a restart needs %d", open.from(5))
	}
	// A read that begins in the middle: what is not known of before it is looked up, once.
	for _, c := range []struct{ start, from, want int64 }{{0, -1, 4}, {4, 4, 4}, {4, 2, 2}, {4, -1, -1}} {
		if open := newTransactions(c.start, c.from); open.from(4) != c.want || open.needsLookBack(records[4]) != (c.want < 4) || open.needsLookBack(records[0]) {
			t.Errorf("from %d, %d known: a restart needs %d, want %d", c.start, c.from, open.from(4), c.want)
		}
	}
}

// What was open where a read begins is found up to 15 minutes before its first marker, or from where the position says.
func TestLookingBack(t *testing.T) {
	log := newFakeLog()
	log.append(transactional, 1, fakeRecord{name: "m", at: base - 20*minute})
	log.append(transactional, 2, fakeRecord{name: "m", at: base - 10*minute})
	log.append(transactional, 3, fakeRecord{name: "m", at: base - 9*minute})
	log.mark(3, base-8*minute, 1)
	log.append(transactional, 2, fakeRecord{name: "m", at: base - 7*minute})
	start := log.append(plain, -1, fakeRecord{name: "m", at: base - minute})
	log.append(transactional, 2, fakeRecord{name: "m", at: base - minute})
	marker := log.mark(2, base, 1)
	for from, want := range map[int64][]int64{-1: {2}, 0: {1, 2}, 4: {2}, start: nil} {
		log.requests = nil
		open := newTransactions(start, from)
		err := each(t.Context(), log, start, marker, func(l logged) {
			if l.Attrs.IsTransactional() {
				open.add(l.Record)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if from != start {
			if err := open.lookBack(t.Context(), log, time.UnixMilli(base), quietly); err != nil || !open.complete {
				t.Fatal(err, open.complete)
			}
		}
		for _, producer := range want {
			if open.open[producer] == nil || open.open[producer].first > 4 {
				t.Errorf("from %d: %+v is known of producer %d", from, open.open[producer], producer)
			}
		}
		if from == -1 && (open.open[1] != nil || open.open[3] != nil || open.open[2].records != 3 || open.open[2].first != 1) {
			t.Errorf("from %d: open are %+v", from, open.open)
		}
	}
	fails := newTransactions(start, -1)
	log.fail = func(string) error { return context.Canceled }
	if err := fails.lookBack(t.Context(), log, time.UnixMilli(base), quietly); err == nil || fails.complete {
		t.Error("a look back that failed counts")
	}
}
