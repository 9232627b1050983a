package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"pulseboard/internal/clock"
	"pulseboard/internal/service"
)

// order is what the process of the load is told.
type order struct {
	To      string // host:port of a Kafka, or the URL to which lines are posted.
	Content content
}

// What it says, each in a line.
const (
	atPresent = "present" // What is due by now has been written.
	allSent   = "sent"    // All is, and how late a request began at most, in ms.
)

// sink is where records go.
type sink interface {
	add(k int64, metric int, t *text) (full bool) // Full: nothing more may be in this request.
	flush(ctx context.Context) error
	close() error // Waits for what is under way.
}

// load is a process of its own: it writes the content, what is of the past as fast
// as it can, the rest when it is due. It is cheap: values were made beforehand, and a
// request holds the records of all partitions that became due since the one before.
//
//	every few ms ─▶ records that are due ─▶ a batch for each partition ─▶ one request, which Kafka acknowledges
func load(ctx context.Context, env service.Env) error {
	var o order
	if err := json.Unmarshal([]byte(env.Args[0]), &o); err != nil {
		return err
	}
	c := &o.Content
	to, err := newSink(&o)
	if err != nil {
		return err
	}
	texts, total := c.texts(), c.records(c.End)
	late, present := time.Duration(0), false
	for k := int64(0); k < total; {
		until := min(c.due(k)+c.tick(present), c.End)
		if now := time.Now().UnixMilli(); until > now && !present {
			present = true
			_, _ = fmt.Fprintln(env.Stdout, atPresent)
			continue
		}
		if present {
			clock.Sleep(ctx, time.Until(time.UnixMilli(until)))
			late = max(late, time.Since(time.UnixMilli(until)))
			until = min(max(until, time.Now().UnixMilli()), until+longestTick, c.End) // After it was held up, all that is due.
		}
		full := false
		for n := c.records(until); k < n && !full; k++ {
			m, t := c.place(k, texts)
			full = to.add(k, m, t)
		}
		if err := to.flush(ctx); err != nil {
			return err
		}
	}
	if err := to.close(); err != nil {
		return err
	}
	if !present {
		_, _ = fmt.Fprintln(env.Stdout, atPresent)
	}
	_, _ = fmt.Fprintln(env.Stdout, allSent, late.Milliseconds())
	return nil
}

// Between requests lie as many ms as bring a record of each metric, as ingest writes them of one
// request; at present not so many that records come late.
const (
	shortestTick = 5
	longestLive  = 20
	longestTick  = 1000
)

func (c *content) tick(present bool) int64 {
	ms := int64(c.Metrics) * int64(c.Batch) * 1000 / int64(c.Rate)
	if present {
		return min(max(ms, shortestTick), longestLive)
	}
	return min(max(ms, shortestTick), longestTick)
}

func newSink(o *order) (sink, error) {
	if o.Content.Lines {
		return newPosts(o.To), nil
	}
	return newProducer(o)
}

// posts sends lines over HTTP, some requests at a time.
type posts struct {
	url   string
	body  []byte
	under errgroup.Group
}

func newPosts(url string) *posts {
	p := &posts{url: url}
	p.under.SetLimit(8)
	return p
}

func (p *posts) add(_ int64, _ int, t *text) (full bool) {
	p.body = append(p.body, t.value...)
	return false
}

func (p *posts) flush(ctx context.Context) error {
	body := p.body
	p.body = make([]byte, 0, cap(body))
	p.under.Go(func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close() //nolint:errcheck // It was read.
		_, err = io.Copy(io.Discard, res.Body)
		if res.StatusCode/100 != 2 {
			err = fmt.Errorf("%s answers %s", p.url, res.Status)
		}
		return err
	})
	return nil
}

func (p *posts) close() error { return p.under.Wait() }
