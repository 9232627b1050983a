package gateway_test

import (
	"strings"
	"testing"
	"time"

	"pulseboard/limits"
)

func (w *world) cut(keys ...string) {
	w.t.Helper()
	r := limits.Report{Share: .25}
	for _, key := range keys {
		r.Cut = append(r.Cut, limits.Cut{Key: key, Scope: limits.Dashboard, Name: dashboard, Resource: limits.Trees, Used: 300 << 20, Limit: 256 << 20})
	}
	if err := w.dashboard.SaveLimits(w.t.Context(), "run", r); err != nil {
		w.t.Fatal(err)
	}
}

// until reads to the message with a state.
func (b *browser) until(state string) message {
	b.t.Helper()
	for {
		m, err := b.read(true)
		if err != nil {
			b.t.Fatal(err)
		}
		if m.State == state {
			return m
		}
	}
}

// A widget that the pipeline has cut says so, with the reason, and not that it waits; and it is live again after.
func TestLimitedWidgetsSaySo(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	w.cut(oneKey)
	path := "/dashboards/" + dashboard + "/widgets/w:" + oneKey + "/snapshot"
	w.until("the snapshot is limited", func() bool {
		_, body := w.get(path)
		detail, _ := body["detail"].(string)
		return body["state"] == "limited" && strings.Contains(detail, "300.0 MiB of trees, the budget is 256.0 MiB")
	})
	b := w.watch(hello)
	if s := b.next("snapshot"); s.State != "limited" || !strings.Contains(s.Detail, "256.0 MiB") {
		t.Errorf("snapshot %+v", s)
	}
	w.cut()
	b.until("waiting")
	w.publish(w.result(oneKey, now(), 4))
	b.until("live")
	w.cut(oneKey)
	if m := b.until("limited"); !strings.Contains(m.Detail, "256.0 MiB") {
		t.Errorf("%+v", m)
	}
	if _, body := w.get(path); len(body["series"].([]any)) != 0 {
		t.Errorf("the values of what is not computed are not withheld: %v", body)
	}
}

// Who asks for all snapshots again and again gets a few, and in the end what is true then.
func TestResyncHasARate(t *testing.T) {
	w := open(t, nil)
	w.show(1, oneKey)
	w.publish(w.result(oneKey, now()-2000, 1))
	b := w.watch(hello)
	b.next("snapshot")
	began := time.Now()
	for range 500 {
		b.say(`{"type":"resync"}`)
	}
	w.until("the rate is counted", func() bool { return w.counter("pulseboard_gateway_resyncs_delayed_total") > 0 })
	w.until("all are counted", func() bool { return w.counter("pulseboard_gateway_resyncs_total") == 500 })
	// A busy machine takes its time for them, in which more of them are let through.
	let := func() int { return 8 + int(time.Since(began)/(2*time.Second)) }
	if n := w.counter("pulseboard_gateway_resyncs_delayed_total"); n < float64(500-let()) {
		t.Errorf("%v of 500 were delayed", n)
	}
	w.publish(w.result(oneKey, now()-1000, 2))
	seen := 0
	for {
		s, err := b.read(true)
		if err != nil {
			t.Fatal(err)
		}
		if s.Type != "snapshot" {
			continue
		}
		if seen++; seen > let() {
			t.Fatalf("%d snapshots", seen)
		}
		if len(s.Points) == 2 {
			break // The one that was owed.
		}
	}
	w.awaitConnections(1)
}
