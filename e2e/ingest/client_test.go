package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	metrics    = 4
	workers    = 8
	batch      = 20                    // Events of a request.
	pace       = 20 * time.Millisecond // From one new request of a worker to the next.
	retryPause = 50 * time.Millisecond
	// Every so many requests a client goes away without waiting for the answer, and asks again.
	impatient = 7
)

// sent is a line of the client's journal: a request before it is sent first, and
// its key alone once it was answered 200.
type sent struct {
	Key    string  `json:"key"`
	Events []event `json:"events,omitempty"`
	Acked  int64   `json:"acked,omitempty"` // Epoch ms.
}

type event struct {
	Metric string            `json:"metric_name"`
	Value  int64             `json:"value"`
	Tags   map[string]string `json:"tags"`
	Time   int64             `json:"event_time"`
}

// client sends requests, each with a key and until it is answered 200. It may be
// killed at any time: what its journal does not show as answered is sent again by
// the next one.
type client struct {
	url     string
	http    *http.Client
	mu      sync.Mutex
	journal *os.File
}

func runClient(path, url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	before := newJournal(filepath.Clean(path))
	err := before.read()
	if err != nil {
		return err
	}
	c := &client{url: url, http: &http.Client{Timeout: 15 * time.Second}}
	if c.journal, err = os.OpenFile(filepath.Clean(path), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
		return err
	}
	defer c.journal.Close() //nolint:errcheck // Each write is looked at.
	var all sync.WaitGroup
	for _, s := range before.all {
		if s.Acked == 0 {
			all.Go(func() { c.deliver(s, false) })
		}
	}
	for w := range workers {
		all.Go(func() {
			next := time.NewTicker(pace)
			defer next.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				s := c.make(w, n)
				c.note(s)
				c.deliver(s, n%impatient == w%impatient)
				select {
				case <-next.C:
				case <-ctx.Done():
				}
			}
		})
	}
	all.Wait()
	return nil
}

func (*client) make(w, n int) *sent {
	s := &sent{Key: fmt.Sprintf("%d-%d-%d", os.Getpid(), w, n)}
	for i := range batch {
		s.Events = append(s.Events, event{
			Metric: fmt.Sprintf("faults.m%d", (w+i)%metrics), Value: int64((n*7+i*3+w)%100 + 1),
			Tags: map[string]string{"worker": fmt.Sprint(w)}, Time: time.Now().UnixMilli(),
		})
	}
	return s
}

// note writes a line of the journal. Lines survive the process; one that was cut by a kill is not counted on.
func (c *client) note(s *sent) {
	line, err := json.Marshal(s)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, err = c.journal.Write(append(line, '\n'))
	}
	if err != nil {
		panic(err) // The test sees that the client has ended.
	}
}

func (c *client) deliver(s *sent, impatient bool) {
	body, err := json.Marshal(s.Events)
	if err != nil {
		panic(err)
	}
	if impatient {
		c.sendAndLeave(s.Key, body)
	}
	for !c.try(s.Key, body) {
		<-time.After(retryPause)
	}
	c.note(&sent{Key: s.Key, Acked: time.Now().UnixMilli()})
}

func (c *client) try(key string, body []byte) bool {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := c.http.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return false
	}
	switch res.StatusCode {
	case http.StatusOK:
		if want := fmt.Sprintf(`{"accepted":%d,"rejected":0,`, batch); !strings.HasPrefix(string(answer), want) {
			panic(fmt.Sprintf("200, but %s", answer))
		}
		return true
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return false
	}
	panic(fmt.Sprintf("%s: %s", res.Status, answer))
}

// sendAndLeave is a client that loses its connection after the request: whether
// it was stored it does not know.
func (c *client) sendAndLeave(key string, body []byte) {
	addr, path, _ := strings.Cut(strings.TrimPrefix(c.url, "http://"), "/")
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // It leaves.
	_, _ = fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s", path, key, len(body), body)
	// The first byte of the answer shows that the node had it; the rest is lost.
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, _ = conn.Read(make([]byte, 1))
}

// journal is what a client has written down, as far as it was read.
type journal struct {
	path  string
	at    int64   // Bytes read.
	all   []*sent // In the order in which they were made.
	known map[string]*sent
	acked int
}

func newJournal(path string) *journal { return &journal{path: path, known: make(map[string]*sent)} }

// read goes on from where it was: read from its beginning again and again, under the race
// detector, the journal grew faster than it was read.
func (j *journal) read() error {
	f, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // It was only read.
	if _, err := f.Seek(j.at, io.SeekStart); err != nil {
		return err
	}
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // What is left has no end: it is being written, or was cut off before it was sent.
		}
		if err != nil {
			return err
		}
		s := new(sent)
		if err := json.Unmarshal(line, s); err != nil {
			return fmt.Errorf("the journal has %q: %w", line, err)
		}
		j.at += int64(len(line))
		if s.Acked != 0 {
			j.known[s.Key].Acked = s.Acked
			j.acked++
			continue
		}
		j.known[s.Key] = s
		j.all = append(j.all, s)
	}
}
