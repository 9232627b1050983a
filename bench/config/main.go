// Command config measures the config service of a running pulseboard: how soon
// an edit of a widget reaches the pipeline, and what many widgets cost.
//
//	go run ./bench/config --url http://127.0.0.1:8080 --redis 127.0.0.1:6379 --times 100
//	go run ./bench/config --url http://127.0.0.1:8080 --redis 127.0.0.1:6379 --dashboards 500 --widgets 20
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"pulseboard/internal/conf"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
)

const about = `
config measures the config service of a running pulseboard. With --times it adds,
changes and removes a widget so often and waits for what comes of it on Pub/Sub.
With --dashboards it makes many, and measures lists, reads, edits, and how long the
registry takes to be whole again after Redis was emptied.`

func main() { os.Exit(service.Main("config", run)) } //nolint:forbidigo // It is main.

type bench struct {
	url, addr           string
	times               int
	dashboards, widgets int
	out                 io.Writer
	client              *http.Client
	redis               *redisconn.Client
}

func run(ctx context.Context, env service.Env) (err error) {
	b := &bench{out: env.Stdout, client: &http.Client{Timeout: 30 * time.Second}}
	f := conf.New("config", about)
	f.StringVar(&b.url, "url", "http://127.0.0.1:8080", "`address` of pulseboard, or of configsvc for --dashboards")
	f.StringVar(&b.addr, "redis", "127.0.0.1:6379", "`address` of its Redis")
	f.IntVar(&b.times, "times", 0, "`number` of widgets that are added, changed and removed one by one")
	f.IntVar(&b.dashboards, "dashboards", 0, "`number` of dashboards")
	f.IntVar(&b.widgets, "widgets", 20, "`number` of widgets of each")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	if b.redis, err = redisconn.Open(ctx, redisconn.At(b.addr)); err != nil {
		return err
	}
	defer b.redis.Close() //nolint:errcheck // Nothing is under way.
	if b.times > 0 {
		if err := b.reach(ctx); err != nil {
			return err
		}
	}
	if b.dashboards > 0 {
		return b.many(ctx)
	}
	return nil
}

func (b *bench) print(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format+"\n", args...) }

type document struct {
	ID      string `json:"dashboard_id"`
	Widgets []struct {
		ID string `json:"widget_id"`
	} `json:"widgets"`
}

// request returns the ETag of the answer.
func (b *bench) request(ctx context.Context, method, path, ifMatch string, body, answer any) (etag string, err error) {
	var r io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return "", err
		}
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.url+path, r)
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	res, err := b.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	if err != nil || answer == nil {
		return res.Header.Get("ETag"), err
	}
	return res.Header.Get("ETag"), json.Unmarshal(text, answer)
}

// spread is p50, p95 and the greatest of some times.
func spread(times []time.Duration) string {
	slices.Sort(times)
	at := func(p int) time.Duration {
		return times[min(len(times)-1, len(times)*p/100)].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p95 %v, max %v (%d times)", at(50), at(95), at(100), len(times))
}
