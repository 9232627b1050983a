package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulseboard/clients/load"
	"pulseboard/e2e/testenv"
	"pulseboard/internal/auth"
	"pulseboard/internal/secret"
)

// dashboards is how many the config service has.
func (w *world) dashboards() int {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.config+"/dashboards", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	var list struct {
		Dashboards []struct{} `json:"dashboards"`
	}
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		w.t.Fatal(err)
	}
	return len(list.Dashboards)
}

// wantExact fails unless everything was delivered, which the machine's other work does not change.
func wantExact(t *testing.T, d load.Delivery) {
	t.Helper()
	if d.Faults() != 0 || d.Expected == 0 || d.Delivered+d.LeftOut != d.Expected {
		t.Errorf("delivery is %+v", d)
	}
}

func TestRunIsExact(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	w := newWorld(t, nil, nil)
	r := w.run(w.plan())
	s, e := r.Streams, r.Events
	wantExact(t, s.Delivery)
	if !r.Exact || len(r.Faults) > 0 {
		t.Errorf("faults: %q", r.Faults)
	}
	if s.Opened != 40 || s.Lost != 0 || s.Unpublished != 0 || s.Dashboards != 4 || s.Streams != 20 || s.Delivery.LeftOut != 0 {
		t.Errorf("streams: %+v", s)
	}
	if s.EndToClient.Count != s.Results || s.Results == 0 || s.EventToCl.Count != s.Results || s.ServerToCl.Count != s.Updates || s.Staleness.Count == 0 {
		t.Errorf("streams were measured %+v", s)
	}
	if e.TotalEvents == 0 || e.Rejected+e.Doubtful+e.Retries429+e.Retries503+e.RetriesLost != 0 || e.Series != 12 || e.TotalEvents < e.Acknowledged {
		t.Errorf("events: %+v", e)
	}
	if len(r.Processes) != 1 || r.Processes[0].CPUSeconds <= 0 || r.Processes[0].RSS <= 0 {
		t.Errorf("processes: %+v", r.Processes)
	}
	if n := w.dashboards(); n != 0 {
		t.Errorf("%d dashboards are left", n)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"40 of 40 connections", "missing 0, duplicate 0, reordered 0", "window end → client", "this load"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the text does not say %q:\n%s", part, &text)
		}
	}
}

// tamper stands between the clients and the gateway as a network that changes
// what it carries: change gets each update of a connection, numbered from 0.
func (w *world) tamper(change func(n int, frame []byte) [][]byte) string {
	up := websocket.Upgrader{Subprotocols: []string{"pulseboard.v1"}}
	var open sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			http.NotFound(rw, r)
			return
		}
		theirs, res, err := (&websocket.Dialer{Subprotocols: up.Subprotocols}).DialContext(w.t.Context(), "ws"+strings.TrimPrefix(w.gateway, "http")+r.URL.Path, nil)
		if err != nil {
			w.t.Error(err)
			return
		}
		_ = res.Body.Close()
		client, err := up.Upgrade(rw, r, nil)
		if err != nil {
			w.t.Error(err)
			return
		}
		open.Go(func() {
			defer theirs.Close() //nolint:errcheck // The client has gone.
			for {
				kind, b, err := client.ReadMessage()
				if err != nil || theirs.WriteMessage(kind, b) != nil {
					return
				}
			}
		})
		open.Go(func() {
			defer client.Close() //nolint:errcheck // The gateway has gone.
			for n := 0; ; {
				_, b, err := theirs.ReadMessage()
				if err != nil {
					return
				}
				out := [][]byte{b}
				if bytes.Contains(b, []byte(`"type":"update"`)) {
					out = change(n, b)
					n++
				}
				for _, frame := range out {
					if client.WriteMessage(websocket.TextMessage, frame) != nil {
						return
					}
				}
			}
		})
	}))
	w.t.Cleanup(func() {
		server.Close()
		open.Wait()
	})
	return server.URL
}

// What the clients are not given, given twice or in another order is seen, all of it.
func TestFaultsOfAGatewayAreSeen(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	// Early updates, so that they come before the cut. A frame may hold fewer
	// than all widgets when the machine is busy: what is lost is counted.
	var touched atomic.Int64
	count := func(frame []byte) {
		var m struct {
			Updates []json.RawMessage `json:"updates"`
		}
		if err := json.Unmarshal(frame, &m); err != nil {
			t.Error(err)
		}
		touched.Add(int64(len(m.Updates)))
	}
	for name, c := range map[string]struct {
		change func() func(n int, frame []byte) [][]byte
		got    func(load.Delivery) int64
	}{
		"missing": {
			change: func() func(int, []byte) [][]byte {
				return func(n int, frame []byte) [][]byte {
					if n != 3 {
						return [][]byte{frame}
					}
					count(frame)
					return nil
				}
			},
			got: func(d load.Delivery) int64 { return d.Missing },
		},
		"duplicate": {
			change: func() func(int, []byte) [][]byte {
				return func(n int, frame []byte) [][]byte {
					if n != 3 {
						return [][]byte{frame}
					}
					count(frame)
					return [][]byte{frame, frame}
				}
			},
			got: func(d load.Delivery) int64 { return d.Duplicate },
		},
		"reordered": {
			change: func() func(int, []byte) [][]byte {
				var held []byte // There is one client.
				return func(n int, frame []byte) [][]byte {
					switch n {
					case 3:
						held = bytes.Clone(frame)
						return nil
					case 4:
						count(held)
						return [][]byte{frame, held}
					}
					return [][]byte{frame}
				}
			},
			got: func(d load.Delivery) int64 { return d.Reordered },
		},
	} {
		t.Run(name, func(t *testing.T) {
			touched.Store(0)
			w := newWorld(t, nil, nil)
			p := w.plan()
			p.Dashboards, p.Connections, p.Rate = 1, 1, 0
			change := c.change()
			watched := true // The auditor's connection comes later, when all is over.
			p.Gateways = []string{w.tamper(func(n int, frame []byte) [][]byte {
				if !watched {
					return [][]byte{frame}
				}
				if n > 4 {
					watched = false
				}
				return change(n, frame)
			})}
			r := w.run(p)
			d := r.Streams.Delivery
			if got := c.got(d); got != touched.Load() || got == 0 || d.Faults() != got {
				t.Errorf("%d results were touched; found %+v", touched.Load(), d)
			}
			if r.Exact || len(r.Faults) == 0 {
				t.Errorf("the run counts as exact: %q", r.Faults)
			}
		})
	}
}

// What the pipeline did not publish is told, and not blamed on the gateway.
func TestWhatWasNotPublished(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	w := newWorld(t, nil, func(key string, end int64) bool {
		return strings.HasPrefix(key, "load.test.1:sum:") && end%500 == 0
	})
	p := w.plan()
	p.Rate = 0
	r := w.run(p)
	wantExact(t, r.Streams.Delivery)
	// A busy machine has notes of its own: of clients that came late.
	told := slices.ContainsFunc(r.Notes, func(n string) bool {
		return strings.HasPrefix(n, "not published") && strings.Contains(n, "load.test.1:sum:5s")
	})
	if r.Streams.Unpublished == 0 || r.Exact || !told {
		t.Errorf("%d ends are told of as not published; notes %q, faults %q", r.Streams.Unpublished, r.Notes, r.Faults)
	}
}

// when calls do when a line of progress begins so.
type when struct {
	prefix string
	do     func()
}

func (w when) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte(w.prefix)) {
		w.do()
	}
	return len(b), nil
}

// After a restart of the gateway every client comes back, without a gap.
func TestReconnect(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	w := newWorld(t, nil, nil)
	p := w.plan()
	p.Rate, p.Reconnect, p.For = 0, true, 8*time.Second
	restarted := make(chan struct{})
	r, err := load.Run(t.Context(), p, when{"measuring", func() {
		go func() {
			defer close(restarted)
			w.stopGateway()
			w.startGateway()
		}()
	}})
	<-restarted
	if err != nil {
		t.Fatal(err)
	}
	s := r.Streams
	wantExact(t, s.Delivery)
	if s.Lost < 40 || s.Back.Back != s.Lost || s.Back.GaveUp != 0 || s.Back.All <= 0 || s.Back.Half > s.Back.All || s.Delivery.InSnapshots == 0 {
		t.Errorf("%d lost (%v), back %+v, delivery %+v", s.Lost, s.LostBecause, s.Back, s.Delivery)
	}
	if s.LostBecause["closed with 1012"] == 0 {
		t.Errorf("lost because %v", s.LostBecause)
	}
}

// Without --reconnect a lost connection is a fault.
func TestLostConnections(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	w := newWorld(t, nil, nil)
	p := w.plan()
	p.Rate = 0
	stopped := make(chan struct{})
	r, err := load.Run(t.Context(), p, when{"measuring", func() {
		go func() {
			defer close(stopped)
			w.stopGateway()
			w.startGateway() // For the auditors.
		}()
	}})
	<-stopped
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Streams; s.Lost != 40 || s.Delivery.Faults() != 0 || r.Exact || s.Back != nil {
		t.Errorf("%d lost, delivery %+v, faults %q", s.Lost, s.Delivery, r.Faults)
	}
}

// Clients that stop reading are conflated; the others notice nothing.
func TestStopReading(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	w := newWorld(t, nil, nil)
	p := w.plan()
	p.Rate, p.Metrics, p.Dashboards, p.Widgets, p.Connections, p.StopReading, p.For = 0, 24, 1, 120, 5, 2, 4*time.Second
	p.Patience = time.Minute // Beside the race detector and others on both cores nothing came for 10 s.
	r := w.run(p)
	s := r.Streams
	wantExact(t, s.Delivery)
	wantExact(t, s.Slow.Delivery)
	if s.Slow.Clients != 2 || s.Slow.Closed != 0 || s.Slow.Delivery.InSnapshots == 0 {
		t.Errorf("clients that stopped reading: %+v", s.Slow)
	}
}

// Requests that are refused for the moment, or whose answer is lost, are sent again.
func TestEventsAreSentAgain(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	w := newWorld(t, nil, nil)
	target, err := url.Parse(w.ingest)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	var mu sync.Mutex
	n := 0
	bodies := map[string][]byte{} // By Idempotency-Key.
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		key := r.Header.Get("Idempotency-Key")
		mu.Lock()
		n++
		number := n
		if before, again := bodies[key]; key == "" || again && !bytes.Equal(before, body) {
			t.Errorf("the key %q has two bodies", key)
		}
		bodies[key] = body
		mu.Unlock()
		switch number % 20 {
		case 5:
			rw.Header().Set("Retry-After", "0")
			rw.WriteHeader(http.StatusTooManyRequests)
		case 10:
			rw.WriteHeader(http.StatusServiceUnavailable)
		case 15: // It is stored, but the answer does not arrive.
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			proxy.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	p := w.plan()
	p.Ingest, p.Connections, p.Senders = server.URL, 0, 64
	r := w.run(p)
	e := r.Events
	if e.Retries429 == 0 || e.Retries503 == 0 || e.RetriesLost == 0 || e.Rejected+e.Doubtful != 0 || len(r.Faults) > 0 {
		t.Errorf("%+v, faults %q", e, r.Faults)
	}
	if want := int64(len(bodies) * p.Batch); e.TotalEvents != want {
		t.Errorf("%d events were acknowledged, %d were sent", e.TotalEvents, want)
	}
}

// What cannot work says why, and what to do.
func TestRefusals(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	w := newWorld(t, testenv.Guard(t, auth.Admin, auth.View, auth.Ingest, auth.Edit), nil)
	for name, c := range map[string]struct {
		change func(*load.Config)
		want   string
	}{
		"no token": {func(*load.Config) {}, "pass a token for it in PULSEBOARD_TOKEN"},
		"a token that may not send": {func(c *load.Config) {
			c.Token, c.Connections = secret.New(string(auth.View)), 0
		}, "pass a token with the scope ingest in PULSEBOARD_TOKEN"},
		"a token that may not look": {func(c *load.Config) {
			c.Token, c.Rate, c.DashboardIDs = secret.New(string(auth.Ingest)), 0, []string{"d"}
		}, "closed with 4401"},
		"no such dashboard": {func(c *load.Config) {
			c.Token, c.Rate, c.DashboardIDs = secret.New(string(auth.Admin)), 0, []string{"d"}
		}, "closed with 4404"},
		"not the gateway": {func(c *load.Config) {
			c.Token, c.Gateways = secret.New(string(auth.Admin)), []string{w.config}
		}, "is this the gateway?"},
		"not ingest": {func(c *load.Config) {
			c.Token, c.Ingest = secret.New(string(auth.Admin)), w.config
		}, "is --ingest the address of ingest?"},
		"nobody there": {func(c *load.Config) {
			c.Token, c.Gateways = secret.New(string(auth.Admin)), []string{"http://127.0.0.1:1"}
		}, "check --gateway"},
		"a refresh below the slice": {func(c *load.Config) {
			c.Token, c.Refresh = secret.New(string(auth.Admin)), 10*time.Millisecond
		}, "would not make the dashboards as asked for"},
		"a window that is too long": {func(c *load.Config) {
			c.Token, c.WindowSeconds = secret.New(string(auth.Admin)), 7200
		}, "window_seconds"},
		"a check of a run that is too long": {func(c *load.Config) {
			c.Token, c.Check, c.For = secret.New(string(auth.Admin)), true, 2*time.Hour
		}, "shorten --for or leave --check out"},
		"no such process": {func(c *load.Config) {
			c.Token, c.Pids = secret.New(string(auth.Admin)), []load.Pid{{Name: "gateway", Pid: 1 << 30}}
		}, "correct --pids"},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.plan()
			c.change(&p)
			r, err := load.Run(t.Context(), p, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) || r != nil {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	t.Run("a token for everything", func(t *testing.T) {
		p := w.plan()
		p.Token = secret.New(string(auth.Admin))
		wantExact(t, w.run(p).Streams.Delivery)
	})
}

// Ctrl-C ends a run in order: the report is of what was measured, nothing is left.
func TestInterrupted(t *testing.T) {
	t.Parallel() // They wait more than they compute.
	for name, c := range map[string]struct {
		at       string
		measured bool
	}{
		"before the measured part": {"opening", false},
		"in the measured part":     {"measuring", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			p := w.plan()
			p.For, p.ConnectRate = time.Hour, 20
			if c.measured {
				p.ConnectRate = 1000
			}
			r, err := load.Run(ctx, p, when{c.at, func() { time.AfterFunc(time.Second, cancel) }})
			if !errors.Is(err, load.ErrInterrupted) || (r != nil) != c.measured {
				t.Fatalf("%v, %v", r, err)
			}
			if r != nil {
				wantExact(t, r.Streams.Delivery)
				if r.Valid || len(r.Invalid) == 0 {
					t.Errorf("an interrupted run is valid: %q", r.Invalid)
				}
			}
			if n := w.dashboards(); n != 0 {
				t.Errorf("%d dashboards are left", n)
			}
		})
	}
}
