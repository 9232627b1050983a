package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pulseboard/internal/clock"
	"pulseboard/internal/histogram"
	"pulseboard/internal/service"
)

// events posts bodies on schedule. Each request has its moment, and a goroutine of
// its own as long as there are less than --senders of them.
type events struct {
	config *Config
	bodies []*body
	client *http.Client
	fail   context.CancelCauseFunc // Ends the run: the service refuses what it is sent.

	measuring atomic.Bool
	due       atomic.Int64 // Requests that were due while measuring; those that began meanwhile.
	begun     atomic.Int64
	acked     atomic.Int64 // Events, while measuring.
	allAcked  atomic.Int64 // Events, over the whole run.
	doubtful  atomic.Int64
	rejected  atomic.Int64
	retries   [3]atomic.Int64 // After 429, 503, no answer.
	latency   histogram.Histogram
	lateness  histogram.Histogram
	waited    atomic.Int64 // Requests that began late because all senders were waiting for answers.

	mu    sync.Mutex
	first string // What the first rejection or loss said.
}

// request is one that is due.
type request struct {
	number   int64
	body     *body
	due      time.Time
	measured bool
}

// How long a request is sent again. Pulseboard knows a repeated request for two minutes.
const (
	patience     = 60 * time.Second
	requestTime  = 30 * time.Second
	shortestWait = 100 * time.Millisecond
	longestWait  = 5 * time.Second
)

func newEvents(c *Config, fail context.CancelCauseFunc) *events {
	return &events{
		config: c, fail: fail, bodies: newBodies(c),
		client: &http.Client{Timeout: requestTime, Transport: &http.Transport{
			MaxIdleConnsPerHost: c.Senders, MaxConnsPerHost: 0, IdleConnTimeout: time.Minute, DisableCompression: true,
			WriteBufferSize: 8 << 10, ReadBufferSize: 2 << 10,
		}},
	}
}

// run sends until ctx ends, and returns when all requests are answered, or life ends too.
func (e *events) run(ctx, life context.Context) {
	every := float64(time.Second) * float64(e.config.Batch) / e.config.Rate
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // Load, no secret.
	order := r.Perm(len(e.bodies))
	queue := make(chan request)
	var senders sync.WaitGroup
	running := 0
	begin := time.Now()
	for n := int64(0); ; n++ {
		q := request{number: n, due: begin.Add(time.Duration(float64(n) * every))}
		if !clock.Sleep(ctx, time.Until(q.due)) {
			break
		}
		if i := int(n % int64(len(order))); i == 0 {
			r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			q.body = e.bodies[order[0]]
		} else {
			q.body = e.bodies[order[i]]
		}
		if q.measured = e.measuring.Load(); q.measured {
			e.due.Add(1)
		}
		select {
		case queue <- q:
			continue
		default:
		}
		if running < e.config.Senders {
			running++
			senders.Go(func() {
				e.send(life, q)
				for q := range queue {
					e.send(life, q)
				}
			})
			continue
		}
		e.waited.Add(1)
		select {
		case queue <- q:
		case <-ctx.Done():
		}
	}
	close(queue)
	senders.Wait()
	e.client.CloseIdleConnections()
}

// send posts a request until it is answered, and counts. A request under way is
// not cut off: what became of it would not be known.
func (e *events) send(life context.Context, q request) {
	ctx := context.WithoutCancel(life)
	if q.measured {
		e.lateness.Record(time.Since(q.due))
		if e.measuring.Load() {
			e.begun.Add(1)
		}
	}
	key := e.config.Run + "-" + strconv.FormatInt(q.number, 36)
	limit := q.due.Add(patience)
	for try := 0; ; try++ {
		status, retryAfter, answer, err := e.post(ctx, q.body.text, key)
		switch {
		case err == nil && status == http.StatusOK:
			e.accept(q, answer)
			return
		case err == nil && status == http.StatusTooManyRequests:
			e.retries[0].Add(1)
		case err == nil && status == http.StatusServiceUnavailable:
			e.retries[1].Add(1)
		case err == nil:
			e.refuse(status, answer)
			return
		default:
			e.retries[2].Add(1)
			retryAfter = shortestWait
		}
		wait := max(retryAfter, min(longestWait, shortestWait<<min(try, 10)))
		wait += rand.N(wait/2 + 1) //nolint:gosec // It spreads load.
		if time.Now().Add(wait).After(limit) || !clock.Sleep(life, wait) {
			e.doubt(q, status, answer, err)
			return
		}
	}
}

func (e *events) post(ctx context.Context, body []byte, key string) (status int, retryAfter time.Duration, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.config.Ingest+"/ingest", bytes.NewReader(body))
	if err != nil {
		return 0, 0, nil, err
	}
	req.GetBody = nil // Else net/http would send it again by itself, and nobody would count that.
	req.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {key}}
	if e.config.Token.IsSet() {
		req.Header.Set("Authorization", "Bearer "+e.config.Token.Reveal())
	}
	res, err := e.client.Do(req)
	if err != nil {
		return 0, 0, nil, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	answer, err = io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if seconds, e := strconv.Atoi(res.Header.Get("Retry-After")); e == nil {
		retryAfter = time.Duration(seconds) * time.Second
	}
	return res.StatusCode, retryAfter, answer, err
}

// accept counts a request that was stored.
func (e *events) accept(q request, answer []byte) {
	n := int64(e.config.Batch)
	var a struct {
		Accepted int64             `json:"accepted"`
		Rejected int64             `json:"rejected"`
		Errors   []json.RawMessage `json:"errors"`
	}
	if !bytes.HasPrefix(answer, e.whole()) {
		if err := json.Unmarshal(answer, &a); err != nil || a.Accepted+a.Rejected != n {
			e.fail(fmt.Errorf("POST %s/ingest answers 200 with %.200q for %d events: is this ingest of Pulseboard?", e.config.Ingest, answer, n))
			return
		}
		if a.Rejected > 0 {
			q.body.doubtful.Add(1)
			e.rejected.Add(a.Rejected)
			e.note(fmt.Sprintf("%d of %d events of a request were rejected: %.200s", a.Rejected, n, bytes.Join(rawBytes(a.Errors), []byte(" "))))
			return
		}
	}
	q.body.acked.Add(1)
	e.allAcked.Add(n)
	if q.measured {
		e.latency.Record(time.Since(q.due))
		if e.measuring.Load() {
			e.acked.Add(n)
		}
	}
}

func rawBytes(raw []json.RawMessage) [][]byte {
	out := make([][]byte, len(raw))
	for i := range raw {
		out[i] = raw[i]
	}
	return out
}

// whole is how the answer begins when all events were accepted, which need not be decoded.
func (e *events) whole() []byte {
	return append(strconv.AppendInt([]byte(`{"accepted":`), int64(e.config.Batch), 10), `,"rejected":0,`...)
}

// refuse ends the run: the next requests would be refused too.
func (e *events) refuse(status int, answer []byte) {
	text := fmt.Sprintf("POST %s/ingest answers %d %s", e.config.Ingest, status, http.StatusText(status))
	var p service.Problem
	if json.Unmarshal(answer, &p) == nil && p.Detail != "" {
		text += ": " + p.Detail
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += "; pass a token with the scope ingest in PULSEBOARD_TOKEN"
	case http.StatusNotFound:
		text += "; is --ingest the address of ingest?"
	}
	e.fail(errors.New(text))
}

// doubt gives a request up.
func (e *events) doubt(q request, status int, answer []byte, err error) {
	q.body.doubtful.Add(1)
	e.doubtful.Add(int64(e.config.Batch))
	if err != nil {
		e.note("no answer: " + err.Error())
		return
	}
	e.note(fmt.Sprintf("answered %d: %.200s", status, strings.TrimSpace(string(answer))))
}

func (e *events) note(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.first == "" {
		e.first = text
	}
}
