package sources

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/metric"
	"pulseboard/wire"
)

// What is emitted is what stands in the log, although responses use the memory of others again, and some are split by
// the marker of a transaction, so that two responses have events in the same memory.
func TestMemoryOfResponsesIsUsedAgain(t *testing.T) {
	log := newFakeLog()
	write := func(attributes int16, producer int64, name string, at int64) { // In the form whose events share memory.
		value := wire.AppendRecord(nil, name, []metric.Event{{Value: 1}, {Value: 2}})
		log.write(attributes, producer, []kmsg.Record{{Key: []byte(name), Value: value}}, []fakeRecord{{at: at}})
	}
	for i := range 1500 {
		write(plain, -1, fmt.Sprint("m", i), base+int64(i))
		if i%7 == 0 {
			write(transactional, 5, fmt.Sprint("t", i), base+int64(i))
		}
		if i%21 == 0 {
			log.mark(5, base+int64(i), 1)
		}
	}
	want := readAll(t, log, testOptions(), Offset{From: -1})

	s := newTestScanner(log, testOptions(), Offset{From: -1})
	s.spares = new(spares)
	p, queue := newTestPartition(testOptions(), assignment{end: -1})
	memories, responses := make(map[*memory]bool), 0
	for n, caughtUp := 0, false; n < len(want); {
		if !caughtUp && len(queue) < 50 {
			log.change(func() { log.perFetch = 1 + rand.IntN(20) })
			err := s.read(t.Context(), time.Now().Round(0), time.Millisecond, func(a *response) bool {
				caughtUp = a.caughtUp
				if a.memory != nil {
					memories[a.memory], responses = true, responses+1
				}
				queue <- *a
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		p.collect()
		emitted := p.queued()
		for i := range emitted {
			if p.peek() == nil {
				t.Fatal("a record that is queued cannot be taken")
			}
			p.take()
			if got, w := &emitted[i], &want[n]; got.Offset != w.Offset || got.Newest != w.Newest || len(got.Events) != 2 || got.Events[0].Metric != w.Events[0].Metric {
				t.Fatalf("record %d is %+v, want %+v", n, *got, *w)
			}
			n++
		}
		p.release()
	}
	if responses < 20 || len(memories) > responses*3/4 {
		t.Errorf("%d responses took %d memories: they are not used again", responses, len(memories))
	}
}
