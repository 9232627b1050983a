package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/results"
	"pulseboard/transforms"
	"pulseboard/wire"
)

func wide(key string, end int64, series int) results.Publication {
	r := result(key, end)
	for i := range series {
		value := float64(i) / 7
		r.Series = append(r.Series, wire.SeriesValue{Tags: metric.NewTags(map[string]string{"host": fmt.Sprint("host-", i), "region": "eu-central-1"}), Value: &value, Count: int64(i)})
	}
	return results.Publication{Result: r}
}

// What is under way together shrinks while Redis is slow, and grows again, within bounds; who waits comes in turn.
func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow()
		var pubs []results.Publication
		for range 1000 {
			pubs = append(pubs, wide("a:sum:1s by (host)", 1000, 100))
		}
		each := size(pubs[0])
		step := func(took time.Duration) int {
			n, sent, err := f.step(t.Context(), pubs)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(took) //nolint:forbidigo // Virtual time.
			sent(took)
			return n * each
		}
		for range 20 {
			step(time.Millisecond)
		}
		if bytes := step(time.Second); bytes > mostBound || bytes < mostBound*9/10 {
			t.Errorf("a quick Redis gets %d bytes at once", bytes)
		}
		if bytes := step(time.Second); bytes > mostBound/2 || bytes < mostBound*4/10 {
			t.Errorf("a slow Redis gets %d bytes at once", bytes)
		}
		for range 20 {
			step(time.Second)
		}
		if bytes := step(time.Millisecond); bytes > leastBound || bytes < each {
			t.Errorf("a very slow Redis gets %d bytes at once", bytes)
		}
		_, sent, err := f.step(t.Context(), pubs)
		if err != nil {
			t.Fatal(err)
		}
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := f.step(brief, pubs); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the next step may begin while one is under way: %v", err)
		}
		sent(time.Millisecond)
		if _, _, err := f.step(brief, pubs); err == nil {
			t.Error("a step begins after the time for it")
		}
		if bytes := step(time.Millisecond); bytes == 0 {
			t.Error("nothing may be sent any more")
		}
	})
}

// catchingUp is key groups that come to windows far faster than Redis takes their results.
type catchingUp struct {
	upTo   int64 // The end of the last window, s.
	groups []*catchUp
}

type catchUp struct {
	keys []string

	mu  sync.Mutex
	end int64 // The end of the last window that was evaluated, s.
}

const catchUpSeries = 100

func (c *catchingUp) Histories() map[string][]int64 {
	all := make(map[string][]int64)
	for _, g := range c.groups {
		for _, key := range g.keys {
			all[key] = []int64{1000}
		}
	}
	return all
}

func (c *catchingUp) Backfill(ctx context.Context, key string, to transforms.BackfillSink) error {
	tips, err := to.Tips(ctx, key, []int64{1000})
	if err != nil {
		return err
	}
	for end := tips[1000] / 1000; ; {
		var pubs []results.Publication
		for _, g := range c.groups {
			for _, k := range g.keys {
				if k != key {
					continue
				}
				g.mu.Lock()
				for ; end < g.end && len(pubs) < 60; end++ {
					pubs = append(pubs, wide(key, 1000*(end+1), catchUpSeries))
				}
				if len(pubs) == 0 {
					to.Done(key)
					g.mu.Unlock()
					return nil
				}
				g.mu.Unlock()
			}
		}
		if err := to.Write(ctx, pubs); err != nil {
			return err
		}
	}
}

// run passes 30 windows at a time, as a timer does that is behind.
func (g *catchUp) run(ctx context.Context, p *Publisher, upTo int64) {
	for at := int64(0); at < upTo; {
		to := min(at+30, upTo)
		var pubs []results.Publication
		for ; at < to; at++ {
			for _, key := range g.keys {
				pubs = append(pubs, wide(key, 1000*(at+1), catchUpSeries))
			}
		}
		g.mu.Lock()
		g.end = to
		g.mu.Unlock()
		p.publish(ctx, []transforms.Evaluation{{Publications: pubs}})
	}
}

// A Redis that takes results far slower than they come is not away, and what it has taken is not sent again: all
// histories are whole after some time, and hardly more goes over the line than they hold.
func TestASlowRedisGetsNothingTwice(t *testing.T) {
	testenv.NeedRedis(t)
	const groups, keys, upTo, rate = 8, 4, 60, 4 << 20
	c := &catchingUp{upTo: upTo}
	needed := 0
	for g := range groups {
		group := new(catchUp)
		for k := range keys {
			key := fmt.Sprintf("m%d.%d:sum:60s by (host, region)", g, k)
			group.keys = append(group.keys, key)
			needed += upTo * len(wide(key, 1000*upTo, catchUpSeries).Result.Encode())
		}
		c.groups = append(c.groups, group)
	}
	server := testenv.StartRedis(t)
	line := testenv.NewSwitch(t, server.Addr())
	p, err := OpenPublisher(t.Context(), redisconn.At(line.Addr()), results.Lease{Holder: "this"}, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // Nothing is buffered in it.
	p.look(t.Context())
	line.Slow(rate)
	began := time.Now()
	var running sync.WaitGroup
	for _, g := range c.groups {
		running.Go(func() { g.run(t.Context(), p, upTo) })
	}
	running.Wait()
	testenv.Until(t, "all histories are whole", func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.behind); n > 0 {
			return fmt.Errorf("%d are not", n)
		}
		return nil
	})
	t.Logf("%.1f MB of %.1f MB at %d MB/s in %v", float64(line.Sent())/1e6, float64(needed)/1e6, rate>>20, time.Since(began).Round(time.Millisecond))
	if sent := line.Sent(); sent > int64(needed)*6/5 {
		t.Errorf("%d bytes went to Redis, of histories with %d", sent, needed)
	}
	store, err := results.Open(t.Context(), redisconn.At(server.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for key := range c.Histories() {
		h, err := store.History(t.Context(), key, 1000, 0, 600)
		if err != nil || len(h) != upTo || h[0].WindowEnd != 1000 || h[upTo-1].WindowEnd != 1000*upTo {
			t.Fatalf("%s has %d windows, %v", key, len(h), err)
		}
	}
}
