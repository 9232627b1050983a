package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"pulseboard/internal/clock"
)

// phase is when in its second the event of a slot is sent. It takes all moments
// in turn (multiples of the golden ratio are spread evenly), so that the times
// are those of events that come at any moment. The last tenth is left out: what
// is sent there may reach Kafka in the next second.
func phase(slot int64) time.Duration {
	const golden = 0x9E3779B97F4A7C15 // Of 2^64: the product is the fraction of a multiple.
	part := float64(uint64(slot)*golden) / (1 << 64)
	return time.Duration(part * 0.9 * float64(time.Second))
}

// next is when the first event after now is to be sent, in a second after now's.
func next(now time.Time) time.Time {
	slot := slotOf(now) + 1
	return time.Unix(slot, 0).Add(phase(slot))
}

// send sends one event a second. It waits for no answer: while ingest is slow,
// events are sent all the same.
func (c *Canary) send(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	failing := new(lastOutcome)
	for {
		at := next(time.Now())
		if !clock.Sleep(ctx, time.Until(at)) {
			return
		}
		now := time.Now().Truncate(time.Millisecond)
		if slotOf(now) != slotOf(at) || !c.ledger.add(now) {
			c.metrics.sent.WithLabelValues(sentSkipped).Inc()
			continue
		}
		under.Go(func() {
			outcome, err := c.post(ctx, now)
			if ctx.Err() != nil {
				return
			}
			c.metrics.sent.WithLabelValues(outcome).Inc()
			if err == nil {
				c.ledger.acknowledge(now, time.Now())
			}
			if failing.changes(err != nil) {
				if err != nil {
					c.config.Log.Warn("the canary's event was not acknowledged; the next ones follow", "error", err)
				} else {
					c.config.Log.Info("the canary's events are acknowledged again")
				}
			}
		})
	}
}

// lastOutcome remembers whether something failed, so that the log says it once.
type lastOutcome struct {
	mu      sync.Mutex
	failing bool
}

func (t *lastOutcome) changes(failing bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := t.failing != failing
	t.failing = failing
	return changed
}

// post sends the event of this time. Without an error it is acknowledged.
func (c *Canary) post(ctx context.Context, at time.Time) (outcome string, err error) {
	url := c.config.Ingest + "/ingest"
	// With the key, Go sends the request again when a connection was closed under it.
	answer, err := c.client.Do(ctx, http.MethodPost, url, map[string]any{
		"metric_name": Metric, "value": mark(slotOf(at)), "event_time": at.UnixMilli(),
		"tags": map[string]string{"instance": c.config.Instance},
	}, "Idempotency-Key", "canary-"+strconv.FormatInt(at.UnixMilli(), 10))
	if err != nil {
		return sentUnanswered, err
	}
	var said struct {
		Accepted int `json:"accepted"`
	}
	if answer.Status != http.StatusOK || json.Unmarshal(answer.Body, &said) != nil || said.Accepted != 1 {
		return sentRefused, fmt.Errorf("POST %s answered %d: %.300s", url, answer.Status, answer.Body)
	}
	return sentAcknowledged, nil
}
