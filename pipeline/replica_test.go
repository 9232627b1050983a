package pipeline_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/pipeline/runners/prism"
	"pulseboard/results"
	"pulseboard/wire"
)

// A replica that lags by some seconds takes the place of its master within a moment: its
// histories have no gap afterwards, and every window holds what was sent.
func TestALaggingReplicaIsPromoted(t *testing.T) {
	testenv.NeedRedis(t)
	t.Parallel()
	_, master := testenv.StartRedisWith(t, "port "+testenv.RedisPort)
	_, replica := testenv.StartRedisWith(t, "port "+testenv.RedisPort+"\nreplicaof 127.0.0.1 "+master[strings.LastIndex(master, ":")+1:])
	door := testenv.NewSwitch(t, master)
	kafkaAddr, log := newTopic(t)
	queries := []metric.Query{{Metric: "m", Aggregation: metric.Count, WindowSeconds: 2}, {Metric: "m", Aggregation: metric.Sum, WindowSeconds: 10}}
	publishQueries(t, master, 1000, queries...)
	sent := map[int64]int{} // By second.
	send := func() {
		now := time.Now().UnixMilli()
		sent[now/1000]++
		log.waiting[0] = append(log.waiting[0], kafka.Record{Time: time.UnixMilli(now), Key: kafka.NewBytes([]byte("m")), Value: kafka.NewBytes(wire.AppendRecord(nil, "m", []metric.Event{{Metric: "m", Value: 1, Time: now}}))})
		log.write()
	}
	c := testConfig(t, kafkaAddr, door.Addr())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- prism.Run(ctx, c) }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the run ended with %v", err)
		}
	}()
	open := func(addr string) *results.Store {
		s, err := results.Open(t.Context(), redisconn.At(addr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	before, after := open(master), open(replica)
	history := func(s *results.Store, q metric.Query) []*wire.Result {
		rs, err := s.History(t.Context(), q.Key(), 1000, 0, 600)
		if err != nil {
			t.Fatal(err)
		}
		return rs
	}
	// until sends on, and waits until a history ends at least so many windows after an end.
	until := func(s *results.Store, end int64) (newest int64) {
		limit := time.After(2 * time.Minute)
		for {
			send()
			newest = 1 << 62
			for _, q := range queries {
				rs := history(s, q)
				if len(rs) == 0 {
					newest = 0
					break
				}
				newest = min(newest, rs[len(rs)-1].WindowEnd)
			}
			if newest >= end {
				return newest
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-limit:
				t.Fatalf("waited too long for the window that ends at %d; the newest is %d", end, newest)
			}
		}
	}
	until(before, until(before, 1)+3000)
	promoted := redis.NewClient(&redis.Options{Addr: replica})
	defer promoted.Close() //nolint:errcheck // It only asked.
	until(after, 1)
	if err := promoted.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	lost := until(before, until(after, 1)+4000)
	door.To(replica)
	last := until(after, lost+5000)
	for _, q := range queries {
		rs := history(after, q)
		for i, r := range rs {
			if i > 0 && r.WindowEnd != rs[i-1].WindowEnd+1000 {
				t.Errorf("%s: %d follows %d; lost were those up to %d", q.Key(), r.WindowEnd, rs[i-1].WindowEnd, lost)
			}
			want := 0
			for second := r.WindowStart / 1000; second < r.WindowEnd/1000; second++ {
				want += sent[second]
			}
			if len(r.Series) != 1 || r.Series[0].Count != int64(want) {
				t.Errorf("%s at %d: %+v, want the count %d", q.Key(), r.WindowEnd, r.Series, want)
			}
		}
		if len(rs) == 0 || rs[len(rs)-1].WindowEnd < last {
			t.Errorf("%s: the history ends early", q.Key())
		}
	}
}
