package sources

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"pulseboard/internal/testenv"
)

// lateConn hands over what it received a while later, as a process does that
// was stopped meanwhile.
type lateConn struct {
	net.Conn

	by *atomic.Int64
}

func (c lateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	<-time.After(time.Duration(c.by.Load()))
	return n, err
}

// An answer that lay in the socket of a stopped process says nothing of the time
// since: the partition is not idle by it.
func TestAnOldAnswerIsNoFreshWord(t *testing.T) {
	const topic, stopped = "events", 3 * quietFor / 2
	var by atomic.Int64
	r := &reader{options: Options{Topic: topic}, broker: newBroker([]string{testenv.Kafka(t, testenv.Topic{Name: topic, Partitions: 1})}, topic)}
	defer r.broker.close()
	r.broker.transport.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return lateConn{conn, &by}, err
	}
	if a, err := r.fetchOnce(t.Context(), 0, 0); err != nil || !a.quiet {
		t.Fatalf("%+v, %v", a, err)
	}
	by.Store(int64(stopped))
	a, err := r.fetchOnce(t.Context(), 0, 0)
	if err != nil || !a.quiet {
		t.Fatalf("%+v, %v", a, err)
	}
	if age := time.Since(a.at); age < quietFor {
		t.Errorf("the answer lay for %v, and its word is %v old", stopped, age)
	}
	p := &partition{end: -1, queue: make(chan answer, 1), time: 1}
	p.queue <- a
	if p.collect(200); p.time != 1 {
		t.Errorf("the clock moved the partition to %d", p.time)
	}
}
