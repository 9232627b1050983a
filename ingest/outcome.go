package ingest

import (
	"fmt"
	"sync"
	"time"
)

// outcomeTime is how long a failed request to Kafka is held against it when no
// other follows. After that the node is ready again, so that senders which stayed
// away because it was not try Kafka anew.
const outcomeTime = 15 * time.Second

// lastOutcome is how the last request to Kafka ended.
type lastOutcome struct {
	mu   sync.Mutex
	last error
	at   time.Time
}

func (o *lastOutcome) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last, o.at = err, time.Now()
}

func (o *lastOutcome) err(now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil || now.Sub(o.at) > outcomeTime {
		return nil
	}
	return fmt.Errorf("Kafka did not acknowledge the last records: %w", o.last) //nolint:staticcheck // A name begins the text.
}
