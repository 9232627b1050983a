package load

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"pulseboard/clients/rest"
	"pulseboard/internal/clock"
	"pulseboard/internal/histogram"
)

// events posts bodies on schedule. Each request has its moment, and a goroutine of
// its own as long as there are less than --senders of them.
type events struct {
	config *Config
	bodies []*body
	client rest.Client
	fail   context.CancelCauseFunc // Ends the run: the service refuses what it is sent.

	measuring *atomic.Bool
	latency   histogram.Histogram
	lateness  histogram.Histogram

	mu     sync.Mutex
	counts EventsReport // All but what the histograms hold.
}

// request is one that is due.
type request struct {
	number   int64
	body     *body
	due      time.Time
	measured bool
}

// How long a request is sent again: Pulseboard recognizes a repeated request for two minutes.
const (
	patience     = 60 * time.Second
	requestTime  = 30 * time.Second
	shortestWait = 100 * time.Millisecond
	longestWait  = 5 * time.Second
)

func newEvents(c *Config, measuring *atomic.Bool, fail context.CancelCauseFunc) *events {
	return &events{
		config: c, fail: fail, bodies: newBodies(c), measuring: measuring,
		counts: EventsReport{Rate: c.Rate, Batch: c.Batch, Metrics: c.Metrics, Series: c.Metrics * c.Series, Tags: c.Tags},
		client: rest.Client{
			Token: func() (string, error) { return c.Token.Reveal(), nil },
			Once:  true, // Else requests would be sent again without being counted.
			HTTP: http.Client{Timeout: requestTime, Transport: &http.Transport{
				MaxIdleConnsPerHost: c.Senders, IdleConnTimeout: time.Minute, DisableCompression: true, WriteBufferSize: 8 << 10, ReadBufferSize: 2 << 10,
			}},
		},
	}
}

// run sends until ctx ends, and returns when all requests are answered, or life ends too.
func (e *events) run(ctx, life context.Context) {
	every := float64(time.Second) * float64(e.config.Batch) / e.config.Rate
	r := rand.New(rand.NewPCG(3, 4))
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
			e.count(func(r *EventsReport) { r.Due += int64(r.Batch) })
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
		e.count(func(r *EventsReport) { r.WaitedSender++ })
		select {
		case queue <- q:
		case <-ctx.Done():
		}
	}
	close(queue)
	senders.Wait()
	e.client.HTTP.CloseIdleConnections()
}

// send posts a request until it is answered, and counts. A request under way is
// not cut off: what became of it would not be known.
func (e *events) send(life context.Context, q request) {
	ctx := context.WithoutCancel(life)
	if q.measured {
		e.lateness.Record(time.Since(q.due))
		if e.measuring.Load() {
			e.count(func(r *EventsReport) { r.Begun += int64(r.Batch) })
		}
	}
	key := e.config.Run + "-" + strconv.FormatInt(q.number, 36)
	limit := q.due.Add(patience)
	for try := 0; ; try++ {
		answer, err := e.client.Do(ctx, http.MethodPost, e.config.Ingest+"/ingest", q.body.text, "Idempotency-Key", key)
		switch {
		case err != nil:
			e.count(func(r *EventsReport) { r.RetriesLost++ })
		case answer.Status == http.StatusOK:
			e.accept(q, answer.Body)
			return
		case answer.Status == http.StatusTooManyRequests:
			e.count(func(r *EventsReport) { r.Retries429++ })
		case answer.Status == http.StatusServiceUnavailable:
			e.count(func(r *EventsReport) { r.Retries503++ })
		default: // The next requests would be refused too.
			e.fail(refused("POST "+e.config.Ingest+"/ingest answers", answer, "pass a token with the scope ingest in PULSEBOARD_TOKEN", "is --ingest the address of ingest?"))
			return
		}
		after, _ := strconv.Atoi(answer.Header.Get("Retry-After")) // 0 when it says nothing.
		wait := max(time.Duration(after)*time.Second, min(longestWait, shortestWait<<min(try, 10)))
		wait += rand.N(wait/2 + 1)
		if time.Now().Add(wait).After(limit) || !clock.Sleep(life, wait) {
			e.doubt(q, answer, err)
			return
		}
	}
}

// accept counts a request that was stored, in part at least.
func (e *events) accept(q request, answer []byte) {
	n := int64(e.config.Batch)
	var a struct {
		Accepted int64           `json:"accepted"`
		Rejected int64           `json:"rejected"`
		Errors   json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.Accepted+a.Rejected != n {
		e.fail(fmt.Errorf("POST %s/ingest answers 200 with %.200q for %d events: is this ingest of Pulseboard?", e.config.Ingest, answer, n))
		return
	}
	if a.Rejected > 0 {
		q.body.doubtful.Add(1)
		e.count(func(r *EventsReport) {
			r.Rejected += a.Rejected
			r.FirstTrouble = cmp.Or(r.FirstTrouble, fmt.Sprintf("%d of %d events of a request were rejected: %.200s", a.Rejected, n, a.Errors))
		})
		return
	}
	q.body.acked.Add(1)
	if q.measured {
		e.latency.Record(time.Since(q.due))
	}
	e.count(func(r *EventsReport) {
		r.TotalEvents += n
		if q.measured && e.measuring.Load() {
			r.Acknowledged += n
		}
	})
}

// doubt gives a request up.
func (e *events) doubt(q request, answer rest.Answer, err error) {
	q.body.doubtful.Add(1)
	why := fmt.Sprintf("answered %d: %.200s", answer.Status, bytes.TrimSpace(answer.Body))
	if err != nil {
		why = "no answer: " + err.Error()
	}
	e.count(func(r *EventsReport) {
		r.Doubtful += int64(r.Batch)
		r.FirstTrouble = cmp.Or(r.FirstTrouble, why)
	})
}

func (e *events) count(add func(*EventsReport)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	add(&e.counts)
}

// acknowledged is how many events were acknowledged in the measured part so far.
func (e *events) acknowledged() (n int64) {
	e.count(func(r *EventsReport) { n = r.Acknowledged })
	return n
}

func (e *events) report() *EventsReport {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.counts
	r.Latency, r.Lateness = latencyOf(&e.latency), latencyOf(&e.lateness)
	if r.Due > 0 {
		r.Achieved = min(1, float64(r.Begun)/float64(r.Due))
	}
	return &r
}
