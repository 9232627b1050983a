package gateway_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/e2e/testenv"
	"pulseboard/gateway"
	"pulseboard/internal/auth"
)

// by reads a metric of the gateway by the value of its label, without zeros.
func (w *world) by(name string) map[string]float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if v := m.GetCounter().GetValue() + m.GetGauge().GetValue(); v != 0 {
				out[m.GetLabel()[0].GetValue()] = v
			}
		}
	}
	return out
}

// becomes waits until a metric is what it must be.
func (w *world) becomes(name string, want map[string]float64) {
	w.t.Helper()
	limit := time.After(patience)
	for {
		got := w.by(name)
		if maps.Equal(got, want) {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-limit:
			w.t.Fatalf("%s is %v, want %v", name, got, want)
		}
	}
}

// A stream that is not opened is counted by why.
func TestRefusedStreamsAreCounted(t *testing.T) {
	w := open(t, func(c *gateway.Config) {
		c.MaxConnections = 1
		c.Guard = testenv.Guard(t, auth.View)
	})
	ask := func(header http.Header, want int) {
		t.Helper()
		_, res, err := new(websocket.Dialer).DialContext(t.Context(), "ws"+strings.TrimPrefix(w.url, "http")+"/stream/"+dashboard, header)
		if err == nil || res == nil || res.StatusCode != want {
			t.Fatalf("%v: %v, %+v, want %d", header, err, res, want)
		}
		_ = res.Body.Close()
	}
	const refused = "pulseboard_gateway_refused_total"
	ask(http.Header{"Authorization": {"Bearer nobody's"}}, http.StatusUnauthorized)
	w.becomes(refused, map[string]float64{"token": 1})
	ask(http.Header{"Origin": {"https://elsewhere.example"}}, http.StatusForbidden)
	w.becomes(refused, map[string]float64{"token": 1, "origin": 1})
	w.dial(dashboard)
	ask(nil, http.StatusServiceUnavailable)
	ask(nil, http.StatusServiceUnavailable)
	w.becomes(refused, map[string]float64{"token": 1, "origin": 1, "full": 2})
}

// What open streams show is counted by its state, as it is when somebody asks.
func TestFeedsAreCountedByState(t *testing.T) {
	const states = "pulseboard_gateway_feed_states"
	w := open(t, func(c *gateway.Config) { c.Slice = time.Minute }) // Nothing is stale for two.
	w.becomes(states, map[string]float64{})
	w.show(1, oneKey, groupKey)
	w.watch(hello)
	w.becomes(states, map[string]float64{"waiting": 2})
	w.publish(w.result(oneKey, now(), 7))
	w.becomes(states, map[string]float64{"waiting": 1, "live": 1})
	w.redis.Close()
	w.becomes(states, map[string]float64{"degraded": 2})
}
