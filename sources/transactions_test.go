package sources

import (
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

// consume reads from f to the end of the partition, as drain does it: what counted,
// where each stands in the log, and the position after each.
func (w *writers) consume(f found) (names []string, at []int64, positions []Offset) {
	w.t.Helper()
	r := &reader{options: Options{Topic: writersTopic, SliceMs: 1000, OutOfOrderMs: 200, MaxFutureMs: 2000}, broker: newBroker(kafkaconn.At(w.addr), writersTopic)}
	defer r.broker.close()
	f.end = -1
	c := r.newCursor(f)
	p := &partition{next: f.start, inner: f.inner, from: f.from, newest: f.newest, end: -1, queue: make(chan answer, 1)}
	for quiet := false; !quiet; {
		err := r.read(w.t.Context(), c, time.Time{}, func(a *answer) bool {
			p.queue <- *a
			p.collect(&r.options)
			for rec := p.peek(); rec != nil; rec = p.peek() {
				for _, e := range rec.Events {
					names = append(names, e.Metric)
				}
				at = append(at, rec.place())
				p.take(&r.options)
				positions = append(positions, p.offset())
			}
			quiet = a.quiet
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
		names, _, _ := w.consume(found{})
		w.want("at the end of the log", names, w.counts)
	}
}

// An open transaction holds nobody up. What it holds counts at its commit.
func TestAnOpenTransactionHoldsNobody(t *testing.T) {
	w := newWriters(t, 2)
	w.send(0, 2)
	w.send(1, 1)
	w.write()
	names, _, _ := w.consume(found{})
	w.want("while they are open", names, w.counts)
	w.end(1, kgo.TryAbort)
	w.write()
	w.end(0, kgo.TryCommit)
	names, _, _ = w.consume(found{})
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
		names, at, positions := w.consume(found{})
		w.want(fmt.Sprint("seed ", seed), names, w.counts)
		for i, p := range positions {
			rest, _, _ := w.consume(found{start: p.Next, inner: p.Inner, from: p.From, newest: p.Newest})
			w.want(fmt.Sprintf("seed %d, from %+v", seed, p), rest, names[i+1:])
		}
		for start := range at[len(at)-1] + 1 {
			first, _ := slices.BinarySearch(at, start)
			rest, _, _ := w.consume(found{start: start, from: -1})
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
			names, _, _ := w.consume(found{start: 2, from: -1})
			w.want("from the record of the other clock", slices.DeleteFunc(names, func(n string) bool { return n == "another" }), w.counts)
		})
	}
}
