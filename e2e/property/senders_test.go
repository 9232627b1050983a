package property_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

// senders send events to ingest. Each of their requests has a key, and is sent again
// until it is answered 200: some of them are not waited for, and some are sent again
// although they were answered.
type senders struct {
	url   string
	http  http.Client
	names []string
	end   context.CancelFunc
	ended sync.WaitGroup

	mu    sync.Mutex
	acked []mark
	fault error
}

func startSenders(t *testing.T, addr string, seed uint64) *senders {
	t.Helper()
	listens := fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
	log := new(testenv.Buffer)
	testenv.Start(t, log, testenv.Build(t, "ingest"), "--kafka", addr, "--addr", listens, "--create-topics=false")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("ingest:\n%s", testenv.Page(log.String()))
		}
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &senders{url: "http://" + listens + "/ingest", http: http.Client{Timeout: 30 * time.Second}, names: busyMetrics(byJava()), end: cancel}
	t.Cleanup(func() {
		cancel()
		s.ended.Wait()
	})
	for i := range 3 {
		s.ended.Go(func() {
			chance := rand.New(rand.NewPCG(seed, uint64(10+i)))
			ticks := time.NewTicker(150 * time.Millisecond)
			defer ticks.Stop()
			seq := int64(0)
			for n := 0; ctx.Err() == nil; n++ {
				if err := s.request(fmt.Sprintf("s%d", i), n, &seq, chance); err != nil {
					s.mu.Lock()
					s.fault = err
					s.mu.Unlock()
					return
				}
				select {
				case <-ticks.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return s
}

func (s *senders) stop() error {
	s.end()
	s.ended.Wait()
	return s.fault
}

// request sends one, with values that count up: an event is known again by its value.
func (s *senders) request(sender string, n int, seq *int64, chance *rand.Rand) error {
	type event struct {
		Metric string            `json:"metric_name"`
		Value  int64             `json:"value"`
		Tags   map[string]string `json:"tags"`
		Time   *int64            `json:"event_time,omitempty"`
	}
	var events []event
	var marks []mark
	for range 1 + chance.IntN(4) {
		*seq++
		e := event{s.names[chance.IntN(len(s.names))], *seq, map[string]string{"sender": sender, "region": []string{"eu", "us"}[chance.IntN(2)]}, nil}
		if at := time.Now().UnixMilli() - chance.Int64N(100); chance.IntN(2) == 0 {
			if chance.IntN(10) == 0 {
				at -= chance.Int64N(30_000)
			}
			e.Time = &at
		}
		events = append(events, e)
		marks = append(marks, mark{sender, *seq})
	}
	body, err := json.Marshal(events)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("%s-%d", sender, n)
	if chance.IntN(10) == 0 { // Who does not wait does not know.
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(chance.Int64N(int64(10*time.Millisecond))))
		_, _ = s.post(ctx, key, body)
		cancel()
	}
	for limit := time.Now().Add(time.Minute); ; {
		again, err := s.post(context.Background(), key, body)
		if err == nil {
			break
		}
		if !again || time.Now().After(limit) {
			return err
		}
		<-time.After(20 * time.Millisecond)
	}
	if chance.IntN(15) == 0 {
		if _, err := s.post(context.Background(), key, body); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = append(s.acked, marks...)
	return nil
}

// post reports whether it makes sense to try again.
func (s *senders) post(ctx context.Context, key string, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := s.http.Do(req)
	if err != nil {
		return true, err
	}
	defer res.Body.Close() //nolint:errcheck // It was read.
	text, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return true, err
	case res.StatusCode == http.StatusOK:
		return false, nil
	case res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusTooManyRequests:
		return true, errors.New(string(text))
	}
	return false, fmt.Errorf("ingest answers %d: %s", res.StatusCode, text)
}
