package load

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pulseboard/internal/histogram"
)

// losses is what became of connections that could not be opened, or that ended
// before the run did.
type losses struct {
	resets atomic.Int64 // Snapshots after a loss that began anew instead of going on.

	mu           sync.Mutex
	failed       int // Clients whose first connection could not be opened.
	firstFailure error
	count, slow  int            // Connections that ended, of clients that read, and of clients that stopped reading.
	reasons      map[string]int // Of count.
	first        time.Time
	back, gaveUp int
	away         histogram.Histogram // From the first loss until a client had all snapshots again.
}

func (l *losses) openFailed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed++
	if l.firstFailure == nil {
		l.firstFailure = err
	}
}

func (l *losses) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.firstFailure
}

func (l *losses) lose(reason string, slow bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slow {
		l.slow++
		return
	}
	if l.count == 0 {
		l.first = now
		l.reasons = make(map[string]int)
	}
	l.count++
	l.reasons[reason]++
}

func (l *losses) cameBack(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.back++
	l.away.Record(now.Sub(l.first))
}

func (l *losses) giveUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gaveUp++
}

// whyNone says why no connection is left.
func (l *losses) whyNone() error {
	if err := l.failure(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Errorf("all connections were lost at once: %s; 4404 means that there is no such dashboard, 4401 that the token is not good for it", lossText(l.reasons))
}

// lossText lists why connections were lost.
func lossText(losses map[string]int) string {
	var parts []string
	for why, n := range losses {
		parts = append(parts, fmt.Sprintf("%d %s", n, why))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
