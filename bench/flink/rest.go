package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"pulseboard/pipeline/runners/flink/flinkapi"
)

// api asks Flink for what flinkapi has no use for.
type api struct {
	*flinkapi.Client

	job string // Its id.
}

// findJob waits until the job runs: a local Flink begins after it was given the job.
func (s *servers) findJob(ctx context.Context, url string) (*api, error) {
	a := &api{Client: flinkapi.NewClient(url, flinkapi.SecretIn(filepath.Join(s.dir, "flink")))}
	return a, s.all[len(s.all)-1].until(ctx, "the job", func(ctx context.Context) error {
		j, err := a.Find(ctx, jobName)
		if err == nil && j.State != "RUNNING" {
			err = fmt.Errorf("it is %s", j.State)
		}
		a.job = j.ID
		return err
	})
}

func (a *api) get(ctx context.Context, path string, answer any) error {
	return a.Get(ctx, "/jobs/"+a.job+path, answer)
}

// checkpoint is one that Flink remembers; it forgets all but the newest ten.
type checkpoint struct {
	ID         int64  `json:"id"`
	Status     string `json:"status"`
	At         int64  `json:"trigger_timestamp"`
	DurationMs int64  `json:"end_to_end_duration"`
	Bytes      int64  `json:"state_size"`
	Written    int64  `json:"checkpointed_size"` // What it did not have of those before.
}

func (a *api) checkpoints(ctx context.Context) ([]checkpoint, error) {
	var out struct {
		History []checkpoint `json:"history"`
	}
	err := a.get(ctx, "/checkpoints", &out)
	return out.History, err
}

// restarts returns how often the job has begun again.
func (a *api) restarts(ctx context.Context) (string, error) {
	var out []struct {
		Value string `json:"value"`
	}
	err := a.get(ctx, "/metrics?get=numRestarts", &out)
	if err == nil && len(out) == 0 {
		return "not known", nil
	}
	if err != nil {
		return "", err
	}
	return out[0].Value, nil
}

// subtask is one of the parallel parts of an operator chain.
type subtask struct {
	vertex, name, host    string
	number                int
	read, written         float64 // Records.
	busy, idle, backpress float64 // ms.
}

// subtasks returns those of all operator chains, in their order.
func (a *api) subtasks(ctx context.Context) ([]subtask, error) {
	var job struct {
		Vertices []struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"vertices"`
	}
	if err := a.get(ctx, "", &job); err != nil {
		return nil, err
	}
	var out []subtask
	for _, v := range job.Vertices {
		var answer struct {
			Subtasks []struct {
				Subtask int            `json:"subtask"`
				Host    string         `json:"taskmanager-id"`
				Metrics map[string]any `json:"metrics"`
			} `json:"subtasks"`
		}
		if err := a.get(ctx, "/vertices/"+v.ID, &answer); err != nil {
			return nil, err
		}
		for _, t := range answer.Subtasks {
			number := func(name string) float64 {
				f, _ := t.Metrics[name].(float64) // Flink writes NaN as text where it does not measure.
				return f
			}
			out = append(out, subtask{
				v.ID, v.Name, t.Host, t.Subtask, number("read-records"), number("write-records"),
				number("accumulated-busy-time"), number("accumulated-idle-time"), number("accumulated-backpressured-time"),
			})
		}
	}
	slices.SortStableFunc(out, func(a, b subtask) int { return cmp.Compare(a.vertex, b.vertex) })
	return out, nil
}

// since returns what was done between two looks.
func since(before, after []subtask) []subtask {
	for i := range after {
		for _, b := range before {
			if a := &after[i]; a.vertex == b.vertex && a.number == b.number && a.host == b.host {
				a.read -= b.read
				a.written -= b.written
				a.busy -= b.busy
				a.idle -= b.idle
				a.backpress -= b.backpress
			}
		}
	}
	return after
}
