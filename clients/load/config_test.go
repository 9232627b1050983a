package load

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pulseboard/internal/redisconn"
	"pulseboard/wire"
)

func goodConfig() Config {
	return Config{
		Ingest: "http://h:1", Service: "http://h:2", Gateways: []string{"http://h:3"}, Run: "r",
		Rate: 1000, Batch: 500, Metrics: 20, Series: 50, Tags: 3, Senders: 64,
		Connections: 100, Dashboards: 10, Widgets: 20, WindowSeconds: 60, Refresh: time.Second, ConnectRate: 500, Handshakes: 256,
		For: time.Minute, Warmup: time.Second,
	}
}

// Each mistake is named by its flag, with the way out.
func TestConfigValidate(t *testing.T) {
	c := goodConfig()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"pass --rate, --connections or both":        func(c *Config) { c.Rate, c.Connections = 0, 0 },
		"--rate is -1":                              func(c *Config) { c.Rate = -1 },
		"--connections is -1":                       func(c *Config) { c.Connections = -1 },
		"--for is 1ms: it must be at least 1s":      func(c *Config) { c.For = time.Millisecond },
		"--warmup is -1s":                           func(c *Config) { c.Warmup = -time.Second },
		`--run is "a\tb"`:                           func(c *Config) { c.Run = "a\tb" },
		`--run is ""`:                               func(c *Config) { c.Run = "" },
		"their product at most 1000000":             func(c *Config) { c.Metrics, c.Series = 1001, 1000 },
		"--batch is 50001":                          func(c *Config) { c.Batch = 50_001 },
		"--tags is 65":                              func(c *Config) { c.Tags = 65 },
		"--senders is 0":                            func(c *Config) { c.Senders = 0 },
		"--check compares":                          func(c *Config) { c.Rate, c.Check = 0, true },
		"--redis measures":                          func(c *Config) { c.Connections, c.Redis = 0, redisconn.At("h:1") },
		"--connect-rate is 0":                       func(c *Config) { c.ConnectRate = 0 },
		"--handshakes is 0":                         func(c *Config) { c.Handshakes = 0 },
		"--stop-reading is 101":                     func(c *Config) { c.StopReading = 101 },
		"open files, but a process may have":        func(c *Config) { c.Connections = maxConnections },
		"--dashboards is 0":                         func(c *Config) { c.Dashboards = 0 },
		"--widgets is 201":                          func(c *Config) { c.Widgets = 201 },
		"--refresh is 1.5ms":                        func(c *Config) { c.Refresh = 1500 * time.Microsecond },
		"--window is 0":                             func(c *Config) { c.WindowSeconds = 0 },
		"--rate needs an address: pass --ingest":    func(c *Config) { c.Ingest = "" },
		"dashboards needs an address: pass --con":   func(c *Config) { c.Service = "" },
		"needs an address: pass --gateway":          func(c *Config) { c.Gateways = nil },
		`--gateway is "h:1": it must be a URL such`: func(c *Config) { c.Gateways = []string{"http://h:3", "h:1"} },
	} {
		c := goodConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for name, change := range map[string]func(*Config){
		"events alone need no gateway":  func(c *Config) { c.Connections, c.Gateways, c.Service = 0, nil, "" },
		"streams alone need no ingest":  func(c *Config) { c.Rate, c.Ingest = 0, "" },
		"given dashboards, no config":   func(c *Config) { c.DashboardIDs, c.Service = []string{"d"}, "" },
		"and no numbers of those made":  func(c *Config) { c.DashboardIDs, c.Widgets, c.Dashboards = []string{"d"}, 0, 0 },
		"all of the clients stop there": func(c *Config) { c.StopReading = 100 },
	} {
		c := goodConfig()
		change(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParsePid(t *testing.T) {
	for text, want := range map[string]Pid{"gateway=12": {"gateway", 12}, "12": {"", 12}, "a=b=12": {}, "": {}, "=12": {}, "x=": {}, "x=0": {}, "-3": {}} {
		got, err := ParsePid(text)
		if got != want || (err == nil) != (want.Pid > 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// What a body says of itself is what ingest reads in it, and every series is in them equally.
func TestBodies(t *testing.T) {
	c := goodConfig()
	c.Metrics, c.Series, c.Batch, c.Tags = 3, 7, 40, 4
	bodies := newBodies(&c)
	if len(bodies) != fewestBodies {
		t.Fatalf("%d bodies", len(bodies))
	}
	seen := map[string]int{}
	texts := map[string]bool{}
	for i, b := range bodies {
		batch, err := new(wire.Decoder).Request(b.text, c.Batch)
		if err != nil || len(batch.Faults) != 0 || len(batch.Events) != c.Batch {
			t.Fatalf("body %d: %v, %v, %d events", i, err, batch.Faults, len(batch.Events))
		}
		got := map[string][2]float64{}
		for _, e := range batch.Events {
			if len(e.Tags) != c.Tags {
				t.Fatalf("an event has the tags %v", e.Tags)
			}
			k := got[e.Metric]
			got[e.Metric] = [2]float64{k[0] + 1, k[1] + e.Value}
			seen[e.Metric+string(e.Tags.AppendKey(nil))]++
		}
		for _, k := range b.counts {
			name := c.metricName(k.metric)
			if want := [2]float64{float64(k.count), float64(k.quarters) / 4}; got[name] != want {
				t.Errorf("body %d: %s has %v, but says %v", i, name, got[name], want)
			}
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("body %d does not tell of %v", i, got)
		}
		texts[string(b.text)] = true
	}
	if len(seen) != c.Metrics*c.Series || len(texts) != len(bodies) {
		t.Errorf("%d series in %d different bodies", len(seen), len(texts))
	}
	for s, n := range seen {
		if each := fewestBodies * c.Batch / len(seen); n < each-1 || n > each+2 {
			t.Errorf("%s has %d events of %d each", s, n, each)
		}
	}
	bodies[0].acked.Add(2)
	bodies[0].doubtful.Add(1)
	want := total{2 * bodies[0].counts[1].count, 2 * bodies[0].counts[1].quarters, bodies[0].counts[1].count, bodies[0].counts[1].quarters}
	if got := totals(bodies, c.Metrics)[1]; got != want {
		t.Errorf("total %+v, want %+v", got, want)
	}
}

// A run counts when the load was made as asked for, and is exact when all came.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*Report)
		invalid string
		fault   string
	}{
		"all is well": {func(*Report) {}, "", ""},
		"this process was late": {
			func(r *Report) { r.Lateness.P99 = 101 }, "timers fired 101 ms late", "",
		},
		"too little was sent": {
			func(r *Report) { r.Events.Achieved, r.Events.WaitedSender = .98, 7 }, "98.0 % of the requests that were due were begun, at least 99 % must be; all 64 senders were waiting for answers 7 times", "",
		},
		"it was sent late": {
			func(r *Report) { r.Events.Lateness.P99 = 150 }, "begun 150 ms late at p99, at most 100 ms are allowed; lower --rate", "",
		},
		"events were rejected": {
			func(r *Report) { r.Events.Rejected, r.Events.FirstTrouble = 5, "value_missing" }, "", "5 events were rejected and 0 not acknowledged; first: value_missing",
		},
		"results are missing": {
			func(r *Report) { r.Streams.Delivery.Missing = 2 }, "", "of 10 results, 2 are missing",
		},
		"results of slow clients are missing": {
			func(r *Report) { r.Streams.Slow = &SlowReport{Delivery: Delivery{Expected: 3, Missing: 1}} }, "", "of 3 results to clients that stopped reading, 1 are missing",
		},
		"nothing came": {
			func(r *Report) { r.Streams.Delivery = Delivery{} }, "", "no result came to any client",
		},
		"the pipeline left some out": {
			func(r *Report) { r.Streams.Unpublished = 3 }, "", "did not publish 3 window ends",
		},
		"connections were lost": {
			func(r *Report) { r.Streams.Lost, r.Streams.LostBecause = 2, map[string]int{"cut off": 2} }, "", "2 connections were lost: 2 cut off",
		},
		"not all came back": {
			func(r *Report) { r.Streams.Lost, r.Streams.Back = 2, &BackReport{Back: 1} }, "", "2 connections were lost, 1 times one came back",
		},
		"all came back": {
			func(r *Report) { r.Streams.Lost, r.Streams.Back = 2, &BackReport{Back: 2} }, "", "",
		},
		"a sum is wrong": {
			func(r *Report) { r.Check = &CheckReport{Faults: []string{"sum of m is 1, but must be 2"}} }, "", "sum of m is 1, but must be 2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Report{Seconds: 1, Events: &EventsReport{Due: 10, Begun: 10, Achieved: 1}, Streams: &StreamsReport{Delivery: Delivery{Expected: 10, Delivered: 10}}}
			c.change(r)
			r.judge(&Config{Senders: 64})
			for _, x := range []struct {
				kind  string
				good  bool
				lines []string
				want  string
			}{{"invalid", r.Valid, r.Invalid, c.invalid}, {"a fault", r.Exact, r.Faults, c.fault}} {
				said := strings.Join(x.lines, "\n")
				if x.good != (x.want == "") || x.good != (said == "") || !strings.Contains(said, x.want) {
					t.Errorf("%s: %q, want %q", x.kind, said, x.want)
				}
			}
			var text strings.Builder
			if err := r.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			for _, line := range slices.Concat(r.Invalid, r.Faults) {
				if !strings.Contains(text.String(), line) {
					t.Errorf("the text does not say %q:\n%s", line, &text)
				}
			}
		})
	}
}

func TestHandshakeErrors(t *testing.T) {
	body := `{"title":"x","detail":"this gateway has no room for another stream"}`
	for status, want := range map[int]string{
		http.StatusServiceUnavailable: "no room for another stream",
		http.StatusUnauthorized:       "PULSEBOARD_TOKEN",
		http.StatusNotFound:           "is this the gateway?",
	} {
		text := ""
		if status == http.StatusServiceUnavailable {
			text = body
		}
		res := &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: io.NopCloser(strings.NewReader(text))}
		if err := handshakeError("http://h", res, nil); !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v, want %q", status, err, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", 12345678: "12,345,678", -999: "-999"} {
		if got := number(v); got != want {
			t.Errorf("%d is written %q", v, got)
		}
	}
}
