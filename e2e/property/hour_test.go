package property_test

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

// The same beside producers that others have written, on a real Kafka: librdkafka and
// Kafka's own client, idempotent and with transactions that they commit, abort, leave
// open and abandon, in every codec, with clocks that are right, an hour slow or fast, stand
// still and jump; and beside ingest, whose clients repeat requests. Whatever is
// acknowledged is in the log once and counts once, whatever is aborted counts nothing,
// every result equals the log, and of each record a pipeline says what became of it.
//
// PROPERTY_TIMESTAMPS is the topic's message.timestamp.type, CreateTime (the default) or
// LogAppendTime; PROPERTY_SECONDS makes it longer: make verify runs an hour of it.
func TestBesideForeignProducers(t *testing.T) {
	testenv.NeedReal(t)
	seed := uint64(environment("PROPERTY_SEED", 1))
	traffic := time.Duration(environment("PROPERTY_SECONDS", 60)) * time.Second
	byBroker := false
	switch stamps := os.Getenv("PROPERTY_TIMESTAMPS"); stamps {
	case "", "CreateTime":
	case "LogAppendTime":
		byBroker = true
	default:
		t.Fatalf("PROPERTY_TIMESTAMPS is %q: it must be CreateTime or LogAppendTime", stamps)
	}
	if traffic > 40*time.Minute {
		t.Fatalf("PROPERTY_SECONDS is %v: clocks are fast by 50 minutes, so they are right in what is read again after that", traffic)
	}
	told := fates{}
	var posts *senders
	p := plan{seed: seed, traffic: traffic, kills: killsFor(seed, traffic), long: true, byBroker: byBroker}
	p.beside = func(w *world) func() error {
		all := startOutsiders(t, w.addr, seed)
		posts = startSenders(t, w.addr, seed)
		return func() error {
			for _, o := range all {
				if err := o.stop(told); err != nil {
					return err
				}
			}
			return posts.stop()
		}
	}
	binary := testenv.Build(t, "pipeline")
	c, err := play(t, binary, p)
	if c.log == nil {
		t.Fatal(err)
	}
	wrong := 0
	if err != nil {
		wrong = 1
		t.Error(err)
	}
	l := c.log
	v := l.settle(told)
	l.settlePosts(v, posts.acked)
	unaccounted, counters := readAgain(t, binary, c.addr, l)
	c.report(t)
	t.Logf("%d records with %d events; foreign clients: %d records acknowledged, %d committed, %d aborted, %d in transactions that were abandoned; %d events acknowledged by ingest; the pipeline was killed %d times",
		l.records, l.sent, v.acked, v.committed, v.aborted, v.abandoned, v.posted, len(p.kills))
	t.Logf("read again: %s", counters)
	t.Logf("lost %d, twice %d, wrong %d, unaccounted %d", v.lost, v.twice, wrong, v.unaccounted+unaccounted)
	for _, example := range v.examples {
		t.Error(example)
	}
	switch {
	case v.lost+v.twice+v.unaccounted+unaccounted > 0:
		t.Error("the log, what producers were told and what the pipeline counts differ")
	case v.acked == 0 || v.committed == 0 || v.aborted == 0 || v.posted == 0 || l.duplicate == 0:
		t.Error("a kind of producer was missing")
	case (l.ahead == 0 || l.slow == 0) != byBroker:
		t.Errorf("%d records had a clock far ahead, %d one far behind", l.ahead, l.slow)
	case c.values < 3000 || c.messages < 100 || c.percentiles == 0:
		t.Error("too little was compared")
	case 100*c.overtaken > c.entries:
		t.Errorf("%d of %d entries needed the tolerance for overtaken records", c.overtaken, c.entries)
	}
}

// killsFor is for how long the pipeline is away, each time: mostly for seconds.
func killsFor(seed uint64, traffic time.Duration) []time.Duration {
	chance := rand.New(rand.NewPCG(seed, 3))
	var kills []time.Duration
	for n := range 1 + int(traffic/(4*time.Minute)) {
		away := time.Duration(chance.Int64N(int64(5 * time.Second)))
		if n%4 == 3 {
			away = time.Minute
		}
		kills = append(kills, away)
	}
	return kills
}
