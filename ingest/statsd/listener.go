package statsd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/clock"
	"pulseboard/metric"
	"pulseboard/wire"
)

const (
	// receiveBuffer is what is asked of the kernel: some 10,000 datagrams, half a second of a busy network.
	receiveBuffer = 8 << 20
	// maxDatagram is more than a datagram can hold.
	maxDatagram = 64 << 10
	// drainTime is how long is read on at the end what was sent before it.
	drainTime = 50 * time.Millisecond
	// busyPause is how long a stream is not read when too many events wait.
	busyPause = 10 * time.Millisecond
	// eventBytes is what an event takes while it waits, and its record, with usual tags.
	eventBytes = 256
)

// Config is what a listener needs.
type Config struct {
	Options

	Limits  metric.Limits // Of the times that lines have.
	CutTags bool          // Tags beyond the limits are cut to fit, where they are refused else.
	Room    *wire.Room    // For names and tags that are remembered; nil = wire.DefaultRoom.
	Pending int64         // Bytes that events may take which wait for Kafka.
	Metrics prometheus.Registerer
	Log     *slog.Logger
	// Refused is told of each line that is refused; line and fault are valid until it returns. It is called by one
	// goroutine after the other, and must be quick.
	Refused func(line []byte, f Fault)
	Sink    Sink
}

// Listener takes datagrams and streams.
type Listener struct {
	config  Config
	log     *slog.Logger
	metrics *metrics
	intake  *intake
	udp     *net.UDPConn
	tcp     *net.TCPListener
	drops   drops
	streams streams
}

// Listen opens the sockets. Nothing is read before Run.
func Listen(ctx context.Context, c Config) (*Listener, error) {
	c.Signs = cmp.Or(c.Signs, SignsChange)
	l := &Listener{config: c, log: cmp.Or(c.Log, slog.Default())}
	var err error
	if l.udp, l.tcp, err = open(ctx, c.Addr); err != nil {
		return nil, err
	}
	l.drops.udp = l.udp
	l.metrics = newMetrics(l.drops.total)
	if err := l.metrics.register(c.Metrics); err != nil {
		l.close()
		return nil, fmt.Errorf("cannot register the metrics of StatsD: %w", err)
	}
	l.intake = newIntake(newDecoder(c), l.metrics, int(c.Pending/eventBytes))
	l.intake.refuse = l.refuse
	l.intake.sink = c.Sink
	l.streams.init(l)
	got := setBuffer(l.udp, receiveBuffer)
	l.metrics.buffer.Set(float64(got))
	if got > 0 && got < receiveBuffer { // Linux doubles what it grants.
		l.log.Warn("the kernel's buffer for datagrams is small, so bursts may be lost: raise net.core.rmem_max (sysctl), or give CAP_NET_ADMIN", "bytes", got/2, "wanted", receiveBuffer)
	}
	return l, nil
}

// open opens both sockets at one port. Of port 0, which the first one chooses, the other may be in use.
func open(ctx context.Context, addr string) (*net.UDPConn, *net.TCPListener, error) {
	var lc net.ListenConfig
	for tries := 0; ; tries++ {
		ln, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, nil, listenError("TCP", addr, err)
		}
		tcp := ln.(*net.TCPListener)
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(tcp.Addr().(*net.TCPAddr).AddrPort()))
		if err == nil {
			return udp, tcp, nil
		}
		_ = tcp.Close()
		if _, port, _ := net.SplitHostPort(addr); port != "0" || tries == 10 || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, listenError("UDP", addr, err)
		}
	}
}

func listenError(network, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("cannot listen for StatsD on %s over %s: the port is in use; end the other process or choose another with --statsd", addr, network)
	}
	return fmt.Errorf("cannot listen for StatsD on %s over %s: %w", addr, network, err)
}

// Addr is where it listens, over UDP and TCP.
func (l *Listener) Addr() net.Addr { return l.udp.LocalAddr() }

// Run takes lines until ctx ends, then what was sent before, and waits until the sink has it all.
func (l *Listener) Run(ctx context.Context) error {
	defer l.close()
	gathering, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	failed := make(chan error, 2)
	var accepting, reading, running sync.WaitGroup
	running.Go(func() { l.intake.run(gathering) })
	reading.Go(func() { failed <- l.readDatagrams(ctx) })
	accepting.Go(func() { failed <- l.streams.accept(ctx) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	_ = l.udp.SetReadDeadline(time.Now().Add(drainTime)) // Closed already at worst.
	_ = l.tcp.Close()
	accepting.Wait()
	l.streams.end()
	if err != nil {
		_ = l.udp.Close()
	}
	reading.Wait()
	stop()
	running.Wait()
	l.intake.end(ctx)
	return err
}

func (l *Listener) close() {
	_ = l.udp.Close() // It holds nothing.
	_ = l.tcp.Close()
}

// readDatagrams returns once ctx has ended and its deadline has passed.
func (l *Listener) readDatagrams(ctx context.Context) error {
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := l.udp.ReadFromUDPAddrPort(buffer)
		switch {
		case ctx.Err() != nil && err != nil:
			return nil //nolint:nilerr // It is how reading ends.
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			// Of an earlier datagram, or for want of memory.
			l.log.Warn("a datagram of StatsD cannot be read", "error", err)
			clock.Sleep(ctx, busyPause)
			continue
		}
		if !l.allowed(from.Addr()) {
			l.metrics.address.Add(float64(countLines(buffer[:n])))
			continue
		}
		if left := l.intake.take(ctx, buffer[:n]); len(left) > 0 {
			l.metrics.busy.Add(float64(countLines(left)))
		}
	}
}

func (l *Listener) allowed(a netip.Addr) bool {
	if len(l.config.Allow) == 0 {
		return true // It is on loopback.
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(l.config.Allow, func(p netip.Prefix) bool { return p.Contains(a) })
}

// refuse counts a line, and has it told of.
func (l *Listener) refuse(line []byte, f Fault) {
	l.metrics.refused.Inc()
	if l.config.Refused != nil {
		l.config.Refused(line, f)
	}
}

// drops counts what the kernel has dropped, of which it tells 32 bits.
type drops struct {
	udp *net.UDPConn

	mu   sync.Mutex
	last uint32
	sum  uint64
}

func (d *drops) total() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := dropped(d.udp)
	if now == 0 {
		return float64(d.sum) // Closed, or none.
	}
	d.sum += uint64(now - d.last)
	d.last = now
	return float64(d.sum)
}
