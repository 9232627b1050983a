package dashcode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pulseboard/configsvc"
)

// Action is what a dashboard needs, or what was done.
type Action string

// The actions.
const (
	Create    Action = "create"
	Update    Action = "change"
	Unchanged Action = "unchanged"
	Delete    Action = "delete"
	Failed    Action = "failed"
)

// Result is what became of one dashboard.
type Result struct {
	Action      Action   `json:"action"`
	DashboardID string   `json:"dashboard_id"`
	Title       string   `json:"title"`
	File        string   `json:"file,omitempty"`
	Widgets     int      `json:"widgets"`
	Version     int64    `json:"version,omitempty"` // On the service, after the change if there was one.
	Changes     []Change `json:"changes,omitempty"`
	// Overtaken counts how often someone else changed the dashboard between
	// our reading and our writing: each time it was read and compared again.
	Overtaken int     `json:"overtaken,omitempty"`
	Faults    []Fault `json:"faults,omitempty"`   // What the service found wrong.
	Warnings  []Fault `json:"warnings,omitempty"` // What it changed.
	Error     string  `json:"error,omitempty"`

	// Lost: the service did not answer, so that others need not be tried.
	Lost bool `json:"-"`
}

func (i Item) result() Result {
	return Result{DashboardID: i.Dashboard.ID, Title: i.Dashboard.Title, File: i.Place.File, Widgets: len(i.Dashboard.Widgets)}
}

// fail turns a problem of the service into faults of the file.
func (r *Result) fail(i *Item, err error) {
	r.Action, r.Error = Failed, err.Error()
	var e *AnswerError
	if r.Lost = !errors.As(err, &e); r.Lost || i == nil {
		return
	}
	for _, p := range e.Problem.Errors {
		r.Faults = append(r.Faults, i.Fault(p.Pointer, p.Code, p.Detail))
	}
}

// Diff compares a file's dashboard with that of the service. It is Failed when
// the service would refuse it. An error is one of asking: nothing is known then.
func (c *Client) Diff(ctx context.Context, i Item) (Result, error) {
	r, _, err := c.diff(ctx, &i)
	if e, ok := errors.AsType[*AnswerError](err); ok && len(e.Problem.Errors) > 0 {
		r.fail(&i, err)
		return r, nil
	}
	return r, err
}

// diff also makes the item's dashboard what the service would keep.
func (c *Client) diff(ctx context.Context, i *Item) (r Result, etag string, err error) {
	r = i.result()
	var warnings []configsvc.Warning
	if i.Dashboard, warnings, err = c.judge(ctx, i.Dashboard); err != nil {
		return r, "", err
	}
	for _, w := range warnings {
		r.Warnings = append(r.Warnings, i.Fault(w.Pointer, "changed", w.Detail))
	}
	current, etag, err := c.Get(ctx, i.Dashboard.ID)
	switch {
	case errors.Is(err, errNotFound):
		r.Action = Create
		return r, "", nil
	case err != nil:
		return r, "", err
	}
	r.Version, r.Action = current.Version, Unchanged
	if r.Changes, err = Compare(current, i.Dashboard); err != nil {
		return r, "", err
	}
	if len(r.Changes) > 0 {
		r.Action = Update
	}
	return r, etag, nil
}

// How often a change begins anew when others were faster.
const attempts = 5

// Apply brings one dashboard of the service in line with its file. It writes
// only over the version that it has compared: Changes of the result name
// everything that it replaced, also what someone else did meanwhile.
func (c *Client) Apply(ctx context.Context, i Item) Result {
	overtaken := 0
	for {
		r, etag, err := c.diff(ctx, &i)
		r.Overtaken = overtaken
		switch {
		case err != nil:
			r.fail(&i, err)
			return r
		case r.Action == Unchanged:
			return r
		}
		d, err := c.send(ctx, i.Dashboard, etag)
		switch {
		case err == nil:
			r.Version = d.Version
			return r
		case errors.Is(err, errStale), errors.Is(err, errExists), errors.Is(err, errNotFound) && etag != "":
			if overtaken++; overtaken < attempts {
				continue
			}
			err = fmt.Errorf("gave up after %d attempts, each overtaken by someone else; try again: %w", attempts, err)
		}
		r.Overtaken = overtaken
		r.fail(&i, err)
		return r
	}
}

// NotTried is the result of a dashboard after one that was Lost.
func NotTried(i Item) Result {
	r := i.result()
	r.Action, r.Error = Failed, "not tried, since the config service did not answer before"
	return r
}

// Stray lists the dashboards of the service that have the tag and are in none
// of the files: what Prune would delete.
func (c *Client) Stray(ctx context.Context, tag string, items []Item) ([]Result, error) {
	found, err := c.List(ctx, tag)
	if err != nil {
		return nil, err
	}
	var out []Result
	for _, s := range found {
		// The filter is asked for, and checked: what has no tag is not ours to delete.
		if !slices.Contains(s.Tags, tag) || slices.ContainsFunc(items, func(i Item) bool { return i.Dashboard.ID == s.ID }) {
			continue
		}
		out = append(out, Result{Action: Delete, DashboardID: s.ID, Title: s.Title, Widgets: s.Widgets, Version: s.Version})
	}
	return out, nil
}

// Prune deletes what Stray found, unless it has lost the tag since.
func (c *Client) Prune(ctx context.Context, tag string, r Result) Result {
	for {
		current, etag, err := c.Get(ctx, r.DashboardID)
		switch {
		case errors.Is(err, errNotFound):
			return r // Someone else deleted it.
		case err != nil:
			r.fail(nil, err)
			return r
		case !slices.Contains(current.Tags, tag):
			r.Action = Unchanged
			return r
		}
		r.Version = current.Version
		err = c.remove(ctx, r.DashboardID, etag)
		if (errors.Is(err, errStale) || errors.Is(err, errNotFound)) && r.Overtaken < attempts {
			r.Overtaken++
			continue
		}
		if err != nil {
			r.fail(nil, err)
		}
		return r
	}
}

// Export reads dashboards whole, all that the service lists when no ids are given,
// ordered by title and id.
func (c *Client) Export(ctx context.Context, ids, tags []string) ([]configsvc.Dashboard, error) {
	all := len(ids) == 0
	if all {
		found, err := c.List(ctx, tags...)
		if err != nil {
			return nil, err
		}
		for _, s := range found {
			ids = append(ids, s.ID)
		}
	}
	var out []configsvc.Dashboard
	for _, id := range ids {
		d, _, err := c.Get(ctx, id)
		if all && errors.Is(err, errNotFound) {
			continue // Deleted since it was listed.
		}
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b configsvc.Dashboard) int {
		if a.Title != b.Title {
			return strings.Compare(a.Title, b.Title)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return slices.CompactFunc(out, func(a, b configsvc.Dashboard) bool { return a.ID == b.ID }), nil
}
