package embedded

import (
	"net"
	"sync"
	"time"
)

// answers is a connection whose Write does not wait for the other end to read. A client of Redis
// may send all of its commands before it reads the first answer; a server that waits
// with the answers meanwhile, as miniredis does, is not read and reads no more: both wait for ever.
type answers struct {
	net.Conn
	patience time.Duration // How long a Write waits for room, and with it every other client, and after Close what is held.

	mu     sync.Mutex
	moved  *sync.Cond // held, closed or err has changed.
	held   []byte     // Not written yet.
	closed bool
	err    error // Of what was written.
}

const (
	// maxHeld is how many bytes of answers wait for a client, 32 MB as Redis allows a subscriber.
	maxHeld = 32 << 20
	// patience is how long a client may take nothing: then it is disconnected.
	patience = 5 * time.Second
)

func newAnswers(conn net.Conn, patience time.Duration) *answers {
	a := &answers{Conn: conn, patience: patience}
	a.moved = sync.NewCond(&a.mu)
	go a.write()
	return a
}

// Write implements net.Conn.
func (a *answers) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.held) > maxHeld {
		gone := time.AfterFunc(a.patience, func() { _ = a.Conn.Close() }) // Which ends write.
		defer gone.Stop()
	}
	for len(a.held) > maxHeld && a.err == nil && !a.closed {
		a.moved.Wait()
	}
	switch {
	case a.err != nil:
		return 0, a.err
	case a.closed:
		return 0, net.ErrClosed
	}
	a.held = append(a.held, p...)
	a.moved.Broadcast()
	return len(p), nil
}

// write passes on what is held, until Close.
func (a *answers) write() {
	defer a.Conn.Close() //nolint:errcheck // All that could be written is.
	var going []byte
	for {
		a.mu.Lock()
		for len(a.held) == 0 && !a.closed {
			a.moved.Wait()
		}
		if len(a.held) == 0 {
			a.mu.Unlock()
			return
		}
		going, a.held = a.held, going[:0]
		a.moved.Broadcast()
		a.mu.Unlock()
		if _, err := a.Conn.Write(going); err != nil {
			a.mu.Lock()
			a.err = err
			a.moved.Broadcast()
			a.mu.Unlock()
			return
		}
		if cap(going) > 1<<20 {
			going = nil
		}
	}
}

// Close implements net.Conn: what is held is still sent to a client that reads it.
func (a *answers) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	a.moved.Broadcast()
	return a.SetDeadline(time.Now().Add(a.patience))
}
