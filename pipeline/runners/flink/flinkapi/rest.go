// Package flinkapi asks a Flink for its jobs, checkpoints and savepoints, over its REST API and on disk.
package flinkapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Client asks the REST API of JobManagers.
type Client struct {
	urls []string
	http *http.Client
	mu   sync.Mutex
	last int // Index of the URL that responded last: it is asked first.
}

// NewClient returns a client with deadlines, which has the secret of a Flink of one machine; "" = none. The
// URLs, such as http://jobmanager:8081, are separated by commas where several JobManagers elect one: each
// answers for the one that leads.
func NewClient(urls string, secret Secret) *Client {
	c := &Client{http: &http.Client{Timeout: requestTimeout, Transport: transport{secret}}}
	for u := range strings.SplitSeq(urls, ",") {
		c.urls = append(c.urls, strings.TrimRight(strings.TrimSpace(u), "/"))
	}
	return c
}

const (
	requestTimeout = 10 * time.Second
	pollEvery      = 100 * time.Millisecond
)

// Job is a job as Flink lists it.
type Job struct {
	ID      string `json:"jid"`
	Name    string `json:"name"`
	State   string `json:"state"`
	StartMs int64  `json:"start-time"`
}

// Ended reports whether the job will not run again.
func (j Job) Ended() bool {
	return slices.Contains([]string{"FINISHED", "CANCELED", "FAILED", "SUSPENDED"}, j.State)
}

// Checkpoints is the statistics of the checkpoints of a job.
type Checkpoints struct {
	Counts struct {
		Completed int64 `json:"completed"`
		Failed    int64 `json:"failed"`
		Restored  int64 `json:"restored"`
	} `json:"counts"`
	Latest struct {
		Completed *Checkpoint `json:"completed"`
		Restored  *Restored   `json:"restored"`
	} `json:"latest"`
}

// Checkpoint is a completed one.
type Checkpoint struct {
	ID          int64  `json:"id"`
	TriggeredMs int64  `json:"trigger_timestamp"`
	DurationMs  int64  `json:"end_to_end_duration"`
	Bytes       int64  `json:"state_size"`
	Path        string `json:"external_path"`
}

// Restored is where the job went on from.
type Restored struct {
	ID   int64  `json:"id"`
	AtMs int64  `json:"restore_timestamp"`
	Path string `json:"external_path"`
}

// ErrNoJob is returned by Find when no job of that name is there.
var ErrNoJob = errors.New("no such job")

// Jobs lists the jobs that Flink remembers.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	var out struct {
		Jobs []Job `json:"jobs"`
	}
	err := c.do(ctx, http.MethodGet, "/jobs/overview", nil, &out)
	return out.Jobs, err
}

// Find returns the newest job of a name; a running one is newer than an ended one.
func (c *Client) Find(ctx context.Context, name string) (Job, error) {
	jobs, err := c.Jobs(ctx)
	if err != nil {
		return Job{}, err
	}
	best := -1
	for i, j := range jobs {
		if j.Name != name {
			continue
		}
		if best < 0 || jobs[best].Ended() && !j.Ended() || jobs[best].Ended() == j.Ended() && j.StartMs > jobs[best].StartMs {
			best = i
		}
	}
	if best < 0 {
		return Job{}, fmt.Errorf("%w at %s: %q", ErrNoJob, strings.Join(c.urls, ","), name)
	}
	return jobs[best], nil
}

// TaskManagers counts those that the JobManager has.
func (c *Client) TaskManagers(ctx context.Context) (int, error) {
	var out struct {
		TaskManagers []struct{} `json:"taskmanagers"`
	}
	err := c.do(ctx, http.MethodGet, "/taskmanagers", nil, &out)
	return len(out.TaskManagers), err
}

// Checkpoints returns those of a job.
func (c *Client) Checkpoints(ctx context.Context, id string) (Checkpoints, error) {
	var out Checkpoints
	err := c.do(ctx, http.MethodGet, "/jobs/"+id+"/checkpoints", nil, &out)
	return out, err
}

// Failure returns why the job last failed, "" when it did not.
func (c *Client) Failure(ctx context.Context, id string) (string, error) {
	var out struct {
		Root string `json:"root-exception"`
	}
	err := c.do(ctx, http.MethodGet, "/jobs/"+id+"/exceptions", nil, &out)
	return out.Root, err
}

// OfAnotherJob reports whether a job could not begin because of the state that it was given: it is of a
// version of Pulseboard with another form, or of a job with another number of key groups.
func OfAnotherJob(failure string) bool {
	return strings.Contains(failure, "Cannot map checkpoint/savepoint state") || strings.Contains(failure, "maximum parallelism")
}

// AboutAnotherJob is what to do then.
const AboutAnotherJob = "the state is of another version of Pulseboard, or of a job with another --key-groups: begin without it, and windows are read anew from Kafka"

// Cancel ends a job and waits for its end. Its retained checkpoints stay.
func (c *Client) Cancel(ctx context.Context, id string) error {
	if err := c.do(ctx, http.MethodPatch, "/jobs/"+id+"?mode=cancel", nil, nil); err != nil {
		return err
	}
	return c.wait(ctx, func() (bool, error) {
		var j Job
		err := c.do(ctx, http.MethodGet, "/jobs/"+id, nil, &j)
		return j.Ended(), err
	})
}

// Savepoint writes a savepoint below dir, "" = where Flink is configured to,
// and returns its path. With stop the job ends with it.
func (c *Client) Savepoint(ctx context.Context, id, dir string, stop bool) (path string, err error) {
	body, address := map[string]any{"cancel-job": false}, "/jobs/"+id+"/savepoints"
	field := "target-directory"
	if stop {
		body, address, field = map[string]any{"drain": false}, "/jobs/"+id+"/stop", "targetDirectory"
	}
	if dir != "" {
		body[field] = dir
	}
	var trigger struct {
		ID string `json:"request-id"`
	}
	if err := c.do(ctx, http.MethodPost, address, body, &trigger); err != nil {
		return "", err
	}
	err = c.wait(ctx, func() (bool, error) {
		var answer struct {
			Status struct {
				ID string `json:"id"`
			} `json:"status"`
			Operation struct {
				Location string `json:"location"`
				Failure  *struct {
					Trace string `json:"stack-trace"`
				} `json:"failure-cause"`
			} `json:"operation"`
		}
		if err := c.do(ctx, http.MethodGet, "/jobs/"+id+"/savepoints/"+trigger.ID, nil, &answer); err != nil {
			return false, err
		}
		if f := answer.Operation.Failure; f != nil {
			return false, fmt.Errorf("Flink could not write the savepoint: %s", firstLine(f.Trace)) //nolint:staticcheck // A name begins the text.
		}
		path = answer.Operation.Location
		return answer.Status.ID == "COMPLETED", nil
	})
	return path, err
}

func (c *Client) wait(ctx context.Context, done func() (bool, error)) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// Get asks for what has no method here; path begins with /.
func (c *Client) Get(ctx context.Context, path string, answer any) error {
	return c.do(ctx, http.MethodGet, path, nil, answer)
}

func (c *Client) do(ctx context.Context, method, path string, body, answer any) error {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	c.mu.Lock()
	first := c.last
	c.mu.Unlock()
	var errs []error
	for i := range c.urls {
		n := (first + i) % len(c.urls)
		reached, err := c.ask(ctx, c.urls[n]+path, method, content, answer)
		if err == nil {
			c.mu.Lock()
			c.last = n
			c.mu.Unlock()
			return nil
		}
		errs = append(errs, fmt.Errorf("cannot ask Flink at %s: %s %s: %w", c.urls[n], method, path, err))
		if reached {
			break
		}
	}
	return errors.Join(errs...)
}

// ask asks one JobManager. reached is false when another may be asked: this one does not answer, or knows of no leader.
func (c *Client) ask(ctx context.Context, url, method string, body []byte, answer any) (reached bool, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return true, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return false, err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return res.StatusCode != http.StatusServiceUnavailable, fmt.Errorf("%s: %s", res.Status, reason(text))
	}
	if answer == nil {
		return true, nil
	}
	return true, json.Unmarshal(text, answer)
}

// reason shortens what Flink answers: a list of Java traces.
func reason(text []byte) string {
	var e struct {
		Errors []string `json:"errors"`
	}
	if json.Unmarshal(text, &e) != nil || len(e.Errors) == 0 {
		return firstLine(string(text))
	}
	return firstLine(e.Errors[len(e.Errors)-1])
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
