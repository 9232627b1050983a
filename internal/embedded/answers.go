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

	mu    sync.Mutex
	moved *sync.Cond // held or err has changed.
	held  []byte     // Not written yet.
	err   error      // Why a Write fails: that of an earlier one, or net.ErrClosed.
}

const (
	// maxHeld is how many bytes of answers wait for a client, beside those on their way: 32 MB, as Redis allows a subscriber.
	maxHeld = 32 << 20
	// roomPatience is how long a client with so much may leave no room for more: then it is disconnected.
	roomPatience = 5 * time.Second
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
	for len(a.held) > maxHeld && a.err == nil {
		a.moved.Wait()
	}
	if a.err != nil {
		return 0, a.err
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
		for len(a.held) == 0 && a.err == nil {
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
	if a.err != nil {
		return nil
	}
	a.err = net.ErrClosed
	a.moved.Broadcast()
	return a.SetDeadline(time.Now().Add(a.patience))
}
