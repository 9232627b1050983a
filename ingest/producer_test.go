package ingest_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/ingest"
)

// While a request is under way to a leader, what arrives for any of its partitions gathers
// and goes into the next one.
func TestRequestsToALeaderGather(t *testing.T) {
	n := start(t, nil)
	held, release := make(chan struct{}), make(chan struct{})
	var partitions []int // Of each produce request.
	n.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		n.kafka.KeepControl()
		partitions = append(partitions, len(req.(*kmsg.ProduceRequest).Topics[0].Partitions))
		if len(partitions) == 1 {
			close(held)
			n.kafka.SleepControl(func() { <-release })
		}
		return nil, nil, false
	})
	var wg sync.WaitGroup
	post := func(i int) {
		wg.Go(func() {
			if r := n.post(fmt.Sprintf(`{"metric_name":"m%d","value":1}`, i)); r.status != 200 {
				t.Errorf("%d %+v", r.status, r)
			}
		})
	}
	post(0)
	<-held
	const more = 40
	for i := range more {
		post(i)
	}
	n.until("all requests wait for Kafka", func() bool { return n.gauge("pulseboard_ingest_waiting_records") == more })
	close(release)
	wg.Wait()
	used := map[int]bool{}
	for i := range more {
		used[javaPartition(fmt.Sprintf("m%d", i), 16)] = true
	}
	if len(partitions) != 2 || partitions[0] != 1 || partitions[1] != len(used) {
		t.Errorf("produce requests with %d partitions, want 1 and then %d", partitions, len(used))
	}
}

// A client that waits for each answer finds its events in its order, once each, whatever fails in
// between: a retry neither overtakes nor is overtaken.
func TestOrderSurvivesFailures(t *testing.T) {
	n := start(t, nil)
	calls := 0
	n.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		n.kafka.KeepControl()
		switch calls++; {
		case calls%7 == 3:
			return nil, errors.New("the connection is cut"), true
		case calls%5 == 2:
			return refuseProduce(req.(*kmsg.ProduceRequest)), nil, true
		}
		return nil, nil, false
	})
	const clients, requests = 6, 15
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range requests {
				if r := n.post(fmt.Sprintf(`[{"metric_name":"m%d","value":%d},{"metric_name":"shared","value":%d}]`, c, i, c*requests+i)); r.status != 200 {
					t.Errorf("%d %+v", r.status, r)
				}
			}
		})
	}
	wg.Wait()
	next, shared, seen := map[string]float64{}, map[int]int{}, map[string]bool{}
	for _, s := range n.stored() {
		if seen[s.id] {
			t.Errorf("the record %s is there twice, though no acknowledgement was lost", s.id)
		}
		seen[s.id] = true
		for _, e := range s.events {
			if s.key == "shared" {
				c, i := int(e.Value)/requests, int(e.Value)%requests
				if shared[c] != i {
					t.Fatalf("the shared metric has %d of client %d, want %d", i, c, shared[c])
				}
				shared[c]++
				continue
			}
			if e.Value != next[s.key] {
				t.Fatalf("%s has %v, want %v", s.key, e.Value, next[s.key])
			}
			next[s.key]++
		}
	}
	for c := range clients {
		if shared[c] != requests || next[fmt.Sprintf("m%d", c)] != requests {
			t.Errorf("client %d: %d and %v of %d events", c, shared[c], next[fmt.Sprintf("m%d", c)], requests)
		}
	}
}

// A request of more than the broker takes at once goes in several batches, and all of it arrives.
func TestLargeRequest(t *testing.T) {
	n := start(t, nil)
	var body strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&body, "%c"+`{"metric_name":"m%d","value":%d,"tags":{"text":%q}}`, "[,"[min(i, 1)], i%3, i, strings.Repeat("x", 250))
	}
	body.WriteByte(']')
	if r := n.post(body.String()); r.status != 200 || r.Accepted != 50_000 {
		t.Fatalf("%d %+v", r.status, r)
	}
	next := []float64{0, 1, 2}
	total := 0
	for _, s := range n.stored() {
		for _, e := range s.events {
			m := int(e.Value) % 3
			if e.Value != next[m] {
				t.Fatalf("%s has %v, want %v", s.key, e.Value, next[m])
			}
			next[m] += 3
			total++
		}
	}
	if total != 50_000 {
		t.Errorf("%d events are stored", total)
	}
}

// What is held for Kafka is given back, also after requests that failed.
func TestNothingStaysPending(t *testing.T) {
	n := start(t, func(c *ingest.Config) { c.MaxBody = 1 << 16 })
	for _, body := range []string{`{"metric_name":"m","value":1}`, `[]`, ``, `{`, strings.Repeat(" ", 1<<17), `{"value":1}`} {
		n.post(body)
	}
	for _, name := range []string{"pulseboard_ingest_pending_bytes", "pulseboard_ingest_waiting_records"} {
		n.until(name+" is 0", func() bool { return n.gauge(name) == 0 })
	}
}

// A topic that was made anew with fewer partitions takes events again, without a new
// start; what waited for a partition that is gone is not acknowledged.
func TestATopicOfFewerPartitions(t *testing.T) {
	n := start(t, nil)
	const metrics = 40
	all := func() (accepted int) {
		for i := range metrics {
			if n.post(fmt.Sprintf(`{"metric_name":"m%d","value":1}`, i)).status == 200 {
				accepted++
			}
		}
		return accepted
	}
	if got := all(); got != metrics {
		t.Fatalf("%d of %d accepted", got, metrics)
	}
	if err := n.kafka.DeleteTopic("metric-events"); err != nil {
		t.Fatal(err)
	}
	if err := n.kafka.CreateTopic("metric-events", 2, nil); err != nil {
		t.Fatal(err)
	}
	n.until("all are accepted again", func() bool { return all() == metrics })
}
