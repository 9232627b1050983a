package canary

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
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
		timer := time.NewTimer(time.Until(at))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
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
	body, err := json.Marshal(map[string]any{
		"metric_name": Metric, "value": mark(slotOf(at)), "event_time": at.UnixMilli(),
		"tags": map[string]string{"instance": c.config.Instance},
	})
	if err != nil {
		return sentUnanswered, fmt.Errorf("cannot encode the event: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.Ingest+"/ingest", bytes.NewReader(body))
	if err != nil {
		return sentUnanswered, err
	}
	req.Header.Set("Content-Type", "application/json")
	// Go sends such a request again when a connection was closed under it.
	req.Header.Set("Idempotency-Key", "canary-"+strconv.FormatInt(at.UnixMilli(), 10))
	if err := c.bearer(req.Header); err != nil {
		return sentUnanswered, err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return sentUnanswered, err
	}
	defer res.Body.Close() //nolint:errcheck // It has been read.
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return sentUnanswered, fmt.Errorf("cannot read the answer of %s: %w", req.URL, err)
	}
	var answer struct {
		Accepted int `json:"accepted"`
	}
	if res.StatusCode != http.StatusOK || json.Unmarshal(text, &answer) != nil || answer.Accepted != 1 {
		return sentRefused, fmt.Errorf("POST %s answered %s: %.300s", req.URL, res.Status, text)
	}
	return sentAcknowledged, nil
}
