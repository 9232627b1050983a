package sources

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pulseboard/internal/kafkaconn"
	"pulseboard/job"
)

// gather writes the values of a metric down as "label:value".
func gather(t *testing.T, name string, c prometheus.Collector) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				label := ""
				for _, l := range m.GetLabel() {
					label = l.GetValue() + ":"
				}
				values = append(values, fmt.Sprint(label, m.GetGauge().GetValue()+m.GetCounter().GetValue()))
			}
		}
	}
	slices.Sort(values)
	return strings.Join(values, " ")
}

// counted is the value of a counter.
func counted(t *testing.T, c prometheus.Counter) (n float64) {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// The lag counts what has not been emitted, and its age grows while nothing is read.
func TestLag(t *testing.T) {
	now := time.UnixMilli(base)
	l := new(lag)
	l.heard.Store(base - 100)
	steps := []struct {
		end, next, time, heard int64
		records                int64
		seconds                float64
	}{
		{0, 0, 0, base - 100, 0, 0},                   // Empty, just heard of.
		{0, 0, 0, base - 5000, 0, 5},                  // The broker is silent.
		{10, 4, base - 30_000, base - 100, 6, 30},     // Behind.
		{10, 10, base - 30_000, base - 100, 0, 0},     // All emitted.
		{10, 10, base - 30_000, base - 60_000, 0, 60}, // All that is known of.
		{10, 4, base + 1000, base - 100, 6, 0},        // A clock ahead of ours.
	}
	for i, s := range steps {
		l.end.Store(s.end)
		l.next.Store(s.next)
		l.time.Store(s.time)
		l.heard.Store(s.heard)
		if l.records() != s.records || l.seconds(now) != s.seconds {
			t.Errorf("step %d: %d records, %v s; want %d, %v", i, l.records(), l.seconds(now), s.records, s.seconds)
		}
	}
}

// The age of the oldest open transaction is there while the partition is read.
func TestOpenTransactionsHaveAnAge(t *testing.T) {
	l := new(lag)
	for _, c := range []struct {
		since   int64
		seconds float64
		ok      bool
	}{{notRead, 0, false}, {0, 0, true}, {-1, 0, true}, {base - 2500, 2.5, true}, {base + 2500, 0, true}} {
		l.openSince.Store(c.since)
		if got, ok := l.openSeconds(time.UnixMilli(base)); got != c.seconds || ok != c.ok {
			t.Errorf("open since %d: %v, %v; want %v, %v", c.since, got, ok, c.seconds, c.ok)
		}
	}
}

// Metrics of a reader are there while it reads, and gone with it.
func TestLagIsCollected(t *testing.T) {
	cluster := newCluster(t, 2, "events")
	addr := cluster.ListenAddrs()[0]
	for range 3 {
		produce(t, addr, "events", time.Now())
	}
	o := *testOptions()
	o.Run, o.MaxDriftMs, o.MaxLeadMs, o.DedupeMs = t.Name(), 1<<50, 1<<50, 2*minute
	readers := NewReaders(kafkaconn.At(addr), job.NewProgress(), nil)
	run := job.Open(o.Run, readers)
	r := readers.get(o, Position{Shard: Shard{0, 1}})
	c := call{readLoop: r.loop, emit: func(*Batch) {}}
	lags := func() string { return gather(t, "pulseboard_source_lag_records", lagCollector{}) }
	// The first response is taken over, nothing emitted: three records are behind.
	for limit := time.Now().Add(time.Minute); lags() != "0:3 1:0"; {
		if time.Now().After(limit) {
			t.Fatalf("the lag is %s", lags())
		}
		r.loop.collect(0)
	}
	if h := HeldBytes(); h["reading"] < 3*recordSize {
		t.Errorf("%+v are held of three records", h)
	}
	for c.emitOldest() {
	}
	if got := lags(); got != "0:0 1:0" {
		t.Errorf("with all emitted the lag is %s", got)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	if got := lags(); got != "" {
		t.Errorf("after the end the lag is %s", got)
	}
	if h := HeldBytes(); h["reading"]+h["ids"]+h["partials"] != 0 {
		t.Errorf("%+v are held by no reader", h)
	}
}
