package configsvc

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"pulseboard/internal/host"
	"pulseboard/internal/service"
)

func newRates(perSecond float64) *rates {
	return &rates{perSecond: perSecond, of: make(map[string]*rate.Limiter)}
}

func TestRates(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	r := newRates(10)
	n := 0
	for ; n < 1000 && r.take("a", now) == 0; n++ {
	}
	if n != 100 {
		t.Errorf("%d edits at once, want ten seconds' worth", n)
	}
	if wait := r.take("a", now); wait != 100*time.Millisecond {
		t.Errorf("the next one waits %v, want 100ms", wait)
	}
	if wait := r.take("b", now); wait != 0 {
		t.Errorf("another editor waits %v", wait)
	}
	now = now.Add(time.Second)
	r.owe("a", 30, now) // A large document: 20 more than there are.
	if wait := r.take("a", now); wait != 2100*time.Millisecond {
		t.Errorf("after a large document it waits %v, want 2.1s", wait)
	}
	if wait := newRates(0).take("a", now); wait != 0 {
		t.Errorf("without a bound it waits %v", wait)
	}
}

func TestRatesForgetWhoIsQuiet(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	r := newRates(1)
	for i := range 3 * maxEditors {
		now = now.Add(time.Millisecond)
		r.take(fmt.Sprint(i), now)
	}
	if len(r.of) > maxEditors {
		t.Errorf("%d editors are remembered", len(r.of))
	}
}

func TestEditsHaveARate(t *testing.T) {
	s, err := New(Config{Store: openTestSQLite(t, newDB(t)), Registry: nowhere{}, EditRate: 0.001, Shared: host.Shared{
		Log: slog.New(slog.DiscardHandler), Proxies: service.Proxies{netip.MustParsePrefix("127.0.0.1/32")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	made := do(t, srv, "POST", "/dashboards", oneWidget)
	path := made.header.Get("Location")
	last := made
	for n := 0; last.status < 400 && n < 1000; n++ {
		last = do(t, srv, "PATCH", path, `{"title":"x"}`, "If-Match", "*")
	}
	if last.status != 429 || last.header.Get("Retry-After") == "" || !strings.Contains(last.problem(t).Detail, "PATCH") {
		t.Fatalf("%d %v %s", last.status, last.header, last.body)
	}
	for _, read := range []string{path, "/dashboards", path + "/versions"} {
		if got := do(t, srv, "GET", read, ""); got.status != 200 {
			t.Errorf("GET %s: %d", read, got.status)
		}
	}
	if got := do(t, srv, "DELETE", path, "", "If-Match", "*"); got.status != 429 {
		t.Errorf("DELETE: %d", got.status)
	}
	if got := do(t, srv, "DELETE", path, "", "If-Match", "*", "X-Forwarded-For", "198.51.100.1"); got.status != 204 {
		t.Errorf("DELETE of another client behind the proxy: %d", got.status)
	}
}

func TestFullStoreSaysWhatToDo(t *testing.T) {
	s, srv := newAPI(t, newDB(t), nil)
	bounds(t, s.store).Dashboards = 1
	do(t, srv, "POST", "/dashboards", oneWidget)
	got := do(t, srv, "POST", "/dashboards", `{"title":"second"}`)
	if got.status != 413 || !strings.Contains(got.problem(t).Detail, "limit of 1 dashboards: delete") {
		t.Errorf("%d %s", got.status, got.body)
	}
}
