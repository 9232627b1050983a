package statsd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/conf"
	"pulseboard/metric"
	"pulseboard/wire"
)

// world is a listener and what its sink got.
type world struct {
	t       *testing.T
	l       *Listener
	reg     *prometheus.Registry
	end     func()
	release func() // Lets the sink go on.

	mu     sync.Mutex
	events []metric.Event
	faults []string
}

func start(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := startSlow(t, change)
	w.release()
	return w
}

// startSlow is start with a sink that waits until it is released.
func startSlow(t *testing.T, change func(*Config)) *world {
	t.Helper()
	released := make(chan struct{})
	w := &world{t: t, reg: prometheus.NewRegistry(), release: sync.OnceFunc(func() { close(released) })}
	c := Config{
		Options: Options{Addr: "127.0.0.1:0"}, Limits: metric.DefaultLimits(), Pending: 64 << 20, Metrics: w.reg, Log: slog.New(slog.DiscardHandler),
		Refused: func(line []byte, f Fault) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.faults) < 100 {
				w.faults = append(w.faults, fmt.Sprintf("%.40s %s", line, f.Code))
			}
		},
		Sink: func(_ context.Context, b *wire.Batch) {
			<-released
			w.mu.Lock()
			defer w.mu.Unlock()
			for i := range b.Events {
				if b.Index[i] != i {
					t.Errorf("event %d has the index %d", i, b.Index[i])
				}
			}
			w.events = append(w.events, b.Events...)
		},
	}
	if change != nil {
		change(&c)
	}
	var err error
	if w.l, err = Listen(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.l.Run(ctx) }()
	w.end = sync.OnceFunc(func() {
		w.release()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.end)
	return w
}

func (w *world) dial(network string) net.Conn {
	w.t.Helper()
	c, err := new(net.Dialer).DialContext(w.t.Context(), network, w.l.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *world) send(c net.Conn, text string) {
	w.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		w.t.Fatal(err)
	}
}

// count is the sum of a metric, or of those of its series with a label's value.
func (w *world) count(name, value string) (sum float64) {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "pulseboard_ingest_statsd_"+name && (value == "" || m.GetLabel()[0].GetValue() == value) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for limit := time.Now().Add(time.Minute); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(limit) {
			w.t.Fatalf("waited too long until %s", what)
		}
	}
}

// sums are the values by name, of counters and of others.
func (w *world) sums() map[string]float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]float64)
	for _, e := range w.events {
		all[e.Metric] += e.Value
	}
	return all
}

// Lines come in datagrams and streams, cut anywhere. Without more the events go on soon.
func TestDatagramsAndStreams(t *testing.T) {
	w := start(t, nil)
	udp, tcp := w.dial("udp"), w.dial("tcp")
	w.send(udp, "a:1|c\nb:2|c\r\n\n  \nbroken")
	w.send(udp, "b:5|c")
	text := "a:10|c\nc:100|c\r\nb:20|c|#host:x\nlast:7|c"
	for i := range text {
		w.send(tcp, text[i:i+1])
	}
	if err := tcp.Close(); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"a": 11, "b": 27, "c": 100, "last": 7}
	w.until("all is there", func() bool { return fmt.Sprint(w.sums()) == fmt.Sprint(want) })
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.faults, []string{"broken malformed"}) {
		t.Errorf("%q", w.faults)
	}
}

// What was received goes on at the end, sets of an interval that has not ended too.
func TestEndLosesNothing(t *testing.T) {
	w := start(t, nil)
	udp, tcp := w.dial("udp"), w.dial("tcp")
	const n = 500
	for range n {
		w.send(udp, "u:1|c\nusers:a|s\nusers:b|s")
		w.send(tcp, "t:1|c\n")
	}
	w.until("the stream is accepted", func() bool { return w.count("connections", "") == 1 })
	w.end()
	if got := w.sums(); got["u"] != n || got["t"] != n || got["users"] < 2 || int(got["users"])%2 != 0 { // 2, or more where an interval ended.
		t.Errorf("%v", got)
	}
	if lines := w.count("lines_total", "taken"); lines != 4*n {
		t.Errorf("%v lines", lines)
	}
}

// A flood while Kafka is slow: memory is bounded, and what was sent is what was taken, refused, dropped here and dropped by the
// kernel. Streams wait, and lose nothing.
func TestFloodAddsUp(t *testing.T) {
	const most = 2000 // Events that may wait.
	w := startSlow(t, func(c *Config) { c.Pending = most * eventBytes })
	tcp := w.dial("tcp")
	w.send(tcp, "before:1|c\n")
	w.until("there is a stream", func() bool { return w.count("lines_total", "taken") == 1 })
	const senders, each = 4, 25_000
	var sending sync.WaitGroup
	for range senders {
		c := w.dial("udp")
		sending.Go(func() {
			for i := range each {
				line := "flood:1|c|#host:a"
				if i%100 == 99 {
					line = "flood|c"
				}
				if _, err := io.WriteString(c, line); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	sending.Wait()
	total := func() float64 { return w.count("lines_total", "") + w.count("kernel_drops_total", "") }
	w.until("all is counted", func() bool { return total() >= senders*each+1 })
	taken, busy := w.count("lines_total", "taken"), w.count("lines_total", "busy")
	if total() != senders*each+1 || taken > most || busy == 0 {
		t.Errorf("%v of %d are counted: %v taken, %v dropped here, %v by the kernel", total(), senders*each+1, taken, busy, w.count("kernel_drops_total", ""))
	}
	go func() { w.send(tcp, strings.Repeat("stream:1|c\n", 10*most)) }()
	w.release()
	w.until("the stream is there", func() bool { return w.sums()["stream"] == 10*most })
	if got := w.sums(); got["before"]+got["flood"] != taken {
		t.Errorf("%v, of %v taken", got, taken)
	}
}

// What the kernel drops is counted, also after the last datagram that was read.
func TestKernelDrops(t *testing.T) {
	w := start(t, nil)
	_ = w.l.udp.SetReadBuffer(4 << 10)
	c := w.dial("udp")
	const n = 2000
	w.l.intake.mu.Lock() // Nothing is read on.
	for range n {
		w.send(c, "a:1|c")
	}
	drops := w.l.drops.total()
	w.l.intake.mu.Unlock()
	if drops == 0 {
		t.Skip("this system does not say what its kernel drops")
	}
	w.until("all is counted", func() bool { return w.count("lines_total", "taken")+w.count("kernel_drops_total", "") == n })
	if again := w.l.drops.total(); again != drops {
		t.Errorf("%v drops, then %v", drops, again)
	}
}

// Others than those that are allowed are not heard.
func TestOnlyWhoIsAllowed(t *testing.T) {
	w := start(t, func(c *Config) { c.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	w.send(w.dial("udp"), "a:1|c\nb:1|c\n")
	tcp := w.dial("tcp")
	if n, err := tcp.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	w.until("all is counted", func() bool {
		return w.count("lines_total", "address") == 2 && w.count("connections_refused_total", "") == 1
	})
	if w.end(); len(w.events) > 0 {
		t.Errorf("%+v", w.events)
	}
	w = start(t, func(c *Config) { c.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	w.send(w.dial("udp"), "a:1|c")
	w.send(w.dial("tcp"), "a:1|c\n")
	w.until("all is there", func() bool { return w.sums()["a"] == 2 })
}

// Streams that are none: a request that a page had a browser send, a line without an end, one that breaks off.
func TestStrangeStreams(t *testing.T) {
	w := start(t, nil)
	for _, text := range []string{
		"POST /x HTTP/1.1\r\nContent-Type: text/plain\r\n\r\nevil:1|c\nevil:1|c\n", "POST /x", "BREW /evil:1|c HTTP/1.1\nevil:1|c\n", "GET / HTTP/1.0\n\n",
	} {
		c := w.dial("tcp")
		w.send(c, text)
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if n := w.count("connections_refused_total", ""); n != 4 {
		t.Errorf("%v of 4 are refused", n)
	}
	c := w.dial("tcp")
	w.send(c, "good:1|c\n"+strings.Repeat("x", 3*maxLine+100)+":1|c\ngood:1|c\n")
	w.until("both are there", func() bool { return w.sums()["good"] == 2 })
	w.send(c, "good:1|c\ngood:1")
	w.until("three are there", func() bool { return w.sums()["good"] == 3 })
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // A reset.
	w.until("the rest is counted", func() bool { return w.count("lines_total", "cut") == 1 })
	w.end()
	if got := w.sums(); got["evil"] != 0 || got["good"] != 3 || len(w.faults) != 1 {
		t.Errorf("%v %q", got, w.faults)
	}
}

// As many streams as may be: a further one is turned away while all are in use, else the one that was silent for longest gives way.
func TestTooManyStreams(t *testing.T) {
	w := start(t, nil)
	var all []net.Conn
	for range maxStreams {
		all = append(all, w.dial("tcp"))
	}
	w.until("all are open", func() bool { return w.count("connections", "") == maxStreams })
	if _, err := w.dial("tcp").Read(make([]byte, 1)); err == nil {
		t.Error("one too many is taken")
	}
	w.l.streams.mu.Lock()
	for st := range w.l.streams.open {
		if st.conn.RemoteAddr().String() == all[7].LocalAddr().String() {
			st.last = st.last.Add(-silence)
		}
	}
	w.l.streams.mu.Unlock()
	w.send(w.dial("tcp"), "a:1|c\n")
	if _, err := all[7].Read(make([]byte, 1)); err == nil {
		t.Error("the silent one is open")
	}
	w.send(all[8], "a:1|c\n")
	w.until("both are there", func() bool { return w.sums()["a"] == 2 })
}

// Off loopback somebody must have said who may send.
func TestOptions(t *testing.T) {
	for args, want := range map[string]string{
		"":                          "",
		"--statsd 127.0.0.1:8125":   "",
		"--statsd localhost:8125":   "",
		"--statsd [::1]:8125":       "",
		"--statsd 0.0.0.0:8125":     `--statsd is "0.0.0.0:8125", which other machines can reach, and StatsD knows no tokens: say who may send with --statsd-allow, such as --statsd-allow 10.0.0.0/8, or listen on 127.0.0.1:8125`,
		"--statsd :8125":            `--statsd is ":8125", which other machines can reach, and StatsD knows no tokens: say who may send with --statsd-allow, such as --statsd-allow 10.0.0.0/8, or listen on 127.0.0.1:8125`,
		"--statsd 8125":             `--statsd is "8125": it must be host:port, such as 127.0.0.1:8125`,
		"--statsd-allow 10.0.0.0/8": "--statsd-allow says who may send StatsD, but --statsd is empty: name the address to listen on",
		"--statsd :8125 --statsd-allow 10.1.2.3/8,fe80::/10,192.0.2.7": "",
		"--statsd :8125 --statsd-allow everybody":                      `--statsd-allow has "everybody": each must be an IP address or a CIDR range, such as 10.0.0.0/8`,
		"--statsd-signs both":                                          `--statsd-signs is "both": it must be change or value`,
	} {
		var o Options
		f := conf.New("test", "")
		o.Flags(f)
		err := f.Parse(strings.Fields(args), func(string) string { return "" }, io.Discard)
		if got := fmt.Sprint(err); got != cmp.Or(want, "<nil>") {
			t.Errorf("%s: %v", args, err)
		}
		if len(o.Allow) == 3 && fmt.Sprint(o.Allow) != "[10.0.0.0/8 fe80::/10 192.0.2.7/32]" {
			t.Errorf("%v", o.Allow)
		}
	}
}
