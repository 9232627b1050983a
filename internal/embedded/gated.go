package embedded

import (
	"bufio"
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// gated is a connection whose reader, the broker, gets whole requests.
type gated struct {
	net.Conn
	gate *gate
	in   *bufio.Reader
	ctx  context.Context // Of the connection's life: what waits for room must end with it.
	end  context.CancelFunc
	once sync.Once

	place *list.Element // Guarded by the gate.

	// Of the goroutine that reads.
	request []byte // What the broker has not taken of the request in hand.
	buffer  []byte // Used again, while it is small.
	spoke   bool
	pending bool // One was handed on that gets an answer.

	answered chan struct{} // Gets one for each answer.

	mu     sync.Mutex
	held   int64 // Of the gate's room.
	closed bool
}

const (
	readBuffer = 4 << 10
	firstBytes = 64 << 10 // Room is taken for so much at once, then for twice as much each time.
	head       = 4 + 2 + 2
)

func newGated(g *gate, c net.Conn) *gated {
	ctx, end := context.WithCancel(context.Background())
	return &gated{Conn: c, gate: g, in: bufio.NewReaderSize(c, readBuffer), ctx: ctx, end: end, answered: make(chan struct{}, 1)}
}

// Read gives the broker bytes of a request that has come whole.
func (c *gated) Read(p []byte) (int, error) {
	if len(c.request) == 0 {
		if err := c.next(); err != nil {
			if f, ok := errors.AsType[*refusal](err); ok {
				refusals.WithLabelValues(f.reason).Inc()
				c.gate.log.Debug("embedded Kafka: a connection was closed", "from", c.RemoteAddr(), "reason", f.reason, "error", err)
			}
			_ = c.Close() // The error that is returned is the cause.
			return 0, err
		}
	}
	n := copy(p, c.request)
	c.request = c.request[n:]
	if len(c.request) == 0 && cap(c.buffer) > firstBytes {
		large := c.buffer
		c.gate.large.Put(&large)
		c.buffer, c.request = nil, nil
	}
	return n, nil
}

// refusal is why a connection is closed.
type refusal struct{ reason, text string }

func (r *refusal) Error() string { return r.text }

// next reads a request. At most one of a connection is with the broker, which
// would not begin another before its answer either.
func (c *gated) next() error {
	wait := c.gate.limits.idle
	if !c.spoke {
		wait = c.gate.limits.request
	}
	if err := c.until(wait); err != nil {
		return err
	}
	if _, err := c.in.Peek(1); err != nil {
		return c.slow(err, c.spoke)
	}
	if c.in.Buffered() < head {
		if err := c.until(c.gate.limits.request); err != nil {
			return err
		}
	}
	size, key, err := c.begin()
	if err != nil {
		return err
	}
	if c.pending {
		select {
		case <-c.answered:
			c.pending = false
		case <-c.ctx.Done():
			return net.ErrClosed
		}
	}
	c.release() // The room of a request without an answer was not given back yet.
	if err := c.take(4+size, key); err != nil {
		return err
	}
	answers, err := sane(c.buffer[4:])
	if err != nil {
		return err
	}
	stamp(c.buffer[4:], time.Now())
	c.request, c.pending = c.buffer, answers
	if !c.spoke {
		c.spoke = true
		c.gate.spoke(c)
	}
	return nil
}

// begin checks the first bytes of a request, and returns its size without the length, and its key.
func (c *gated) begin() (size int, key int16, err error) {
	first, err := c.in.Peek(4)
	if err != nil {
		return 0, 0, c.slow(err, false)
	}
	const smallest = 2 + 2 + 4 + 2 // Key, version, correlation, the length of the client's id.
	limits := &c.gate.limits
	if size = int(int32(binary.BigEndian.Uint32(first))); size < smallest || size > max(limits.produce, limits.other) {
		return 0, 0, &refusal{"not_kafka", fmt.Sprintf("no request has %d bytes", size)}
	}
	if first, err = c.in.Peek(head); err != nil {
		return 0, 0, c.slow(err, false)
	}
	key, version := kind(first[4:])
	request := kmsg.RequestForKey(key)
	// Clients may ask what versions there are in a version that is newer than any.
	if request == nil || version < 0 || version > request.MaxVersion() && key != int16(kmsg.ApiVersions) {
		return 0, 0, &refusal{"not_kafka", fmt.Sprintf("there is no request %d of version %d", key, version)}
	}
	limit := limits.other
	if key == int16(kmsg.Produce) {
		limit = limits.produce
	}
	if size > limit {
		return 0, 0, &refusal{"too_large", fmt.Sprintf("request %d has %d bytes, and may have %d", key, size, limit)}
	}
	return size, key, nil
}

// kind returns a request's key and version.
func kind(request []byte) (key, version int16) {
	return int16(binary.BigEndian.Uint16(request)), int16(binary.BigEndian.Uint16(request[2:]))
}

// take reads n bytes into the buffer, which grows as they come.
func (c *gated) take(n int, key int16) error {
	if n <= c.in.Buffered() && c.gate.room.TryAcquire(weight(key, n)) { // Most are small, and there.
		if !c.hold(weight(key, n)) {
			return net.ErrClosed
		}
		c.buffer = slices.Grow(c.buffer[:0], n)[:n]
		_, err := io.ReadFull(c.in, c.buffer)
		return err
	}
	if n > firstBytes {
		if b, ok := c.gate.large.Get().(*[]byte); ok {
			c.buffer = *b
		}
	}
	deadline := time.Now().Add(c.gate.limits.request)
	if err := c.SetReadDeadline(deadline); err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(c.ctx, deadline)
	defer cancel()
	for have := 0; have < n; {
		want := min(n, max(firstBytes, 2*have))
		need := weight(key, want-have)
		if err := c.gate.room.Acquire(ctx, need); err != nil {
			return c.slow(os.ErrDeadlineExceeded, false)
		}
		if !c.hold(need) {
			return net.ErrClosed
		}
		if want > cap(c.buffer) {
			bigger := make([]byte, want)
			copy(bigger, c.buffer[:have])
			c.buffer = bigger
		}
		c.buffer = c.buffer[:want]
		if _, err := io.ReadFull(c.in, c.buffer[have:]); err != nil {
			return c.slow(err, false)
		}
		have = want
	}
	return nil
}

// open reads the head that every request has. What is left in the reader is the form's.
func open(request []byte) (form kmsg.Request, r kbin.Reader) {
	key, version := kind(request)
	form = kmsg.RequestForKey(key)
	form.SetVersion(version)
	r = kbin.Reader{Src: request[2+2+4:]} // Past key, version, correlation.
	_ = r.NullableString()                // The client's id.
	if form.IsFlexible() {
		for n := int(r.Uvarint()); n > 0 && r.Ok(); n-- { // Not kmsg's own, which trusts the number.
			_, size := r.Uvarint(), r.Uvarint()
			_ = r.Span(int(size))
		}
	}
	return form, r
}

// sane checks the head of a request, and of a produce request up to the number of
// topics. answers is whether it gets an answer.
func sane(request []byte) (answers bool, err error) {
	key, version := kind(request)
	form, r := open(request)
	answers = true
	if key == int16(kmsg.Produce) {
		transaction, length := r.NullableString, r.ArrayLen
		if form.IsFlexible() {
			transaction, length = r.CompactNullableString, r.CompactArrayLen
		}
		if version >= 3 {
			_ = transaction()
		}
		answers = r.Int16() != 0 // Acks.
		_ = r.Int32()            // A time limit.
		const smallest = 61      // A batch without a record.
		if topics := length(); int(topics)*smallest > len(request) {
			return false, &refusal{"not_kafka", fmt.Sprintf("a produce request of %d bytes cannot hold %d topics", len(request), topics)}
		}
	}
	if !r.Ok() {
		return false, &refusal{"not_kafka", fmt.Sprintf("the head of a request %d cannot be read", key)}
	}
	return answers, nil
}

func (c *gated) until(d time.Duration) error { return c.SetReadDeadline(time.Now().Add(d)) }

// slow makes a refusal of a time limit that has passed, unless the connection was only idle.
func (c *gated) slow(err error, idle bool) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !idle && c.ctx.Err() == nil {
		return &refusal{"slow", "no whole request came in time"}
	}
	return err
}

// hold keeps room that was acquired, unless the connection was closed meanwhile.
func (c *gated) hold(n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.gate.room.Release(n)
		return false
	}
	c.held += n
	gateBytes.Add(float64(n))
	return true
}

func (c *gated) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gate.room.Release(c.held)
	gateBytes.Sub(float64(c.held))
	c.held = 0
}

// Write passes an answer on; the broker writes each at once.
func (c *gated) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.gate.limits.answer)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err == nil {
		c.release()
		select {
		case c.answered <- struct{}{}:
		default:
		}
	}
	return n, err
}

// Close may be called more than once.
func (c *gated) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.end()
		err = c.Conn.Close()
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.release()
		c.gate.gone(c)
	})
	return err
}
