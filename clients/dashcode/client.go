package dashcode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"pulseboard/clients/rest"
	"pulseboard/configsvc"
	"pulseboard/internal/service"
)

// Errors that decide how Apply goes on.
var (
	errNotFound = errors.New("there is no such dashboard")
	errExists   = errors.New("the dashboard exists by now")
	errStale    = errors.New("the dashboard was changed by someone else")
)

// AnswerError is an answer of the config service other than the one hoped for.
type AnswerError struct {
	Method, Path string
	Status       int
	Problem      service.Problem // As far as the answer was one.
}

func (e *AnswerError) Error() string {
	text := fmt.Sprintf("%s %s: the config service answers %d %s", e.Method, e.Path, e.Status, http.StatusText(e.Status))
	if e.Problem.Detail != "" {
		text += ": " + e.Problem.Detail
	}
	switch e.Status {
	case http.StatusUnauthorized:
		text += "; pass a token in PULSEBOARD_TOKEN"
	case http.StatusForbidden:
		text += "; the token does not allow this"
	}
	return text
}

// Client speaks to a config service.
type Client struct {
	base *url.URL
	rest rest.Client
}

// requestTime is how long one request may take.
const requestTime = 30 * time.Second

// NewClient returns a client of the service at a URL such as
// http://127.0.0.1:8080. token may be empty.
func NewClient(server, token string) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--server is %q: it must be a URL such as http://127.0.0.1:8080", server)
	}
	u.RawQuery, u.Fragment = "", ""
	return &Client{u, rest.Client{HTTP: http.Client{Timeout: requestTime}, Token: func() (string, error) { return token, nil }}}, nil
}

// do sends a request, and returns the body of the answer; header holds names and values by turns.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body any, header ...string) ([]byte, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	a, err := c.rest.Do(ctx, method, u.String(), body, header...)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the config service at %s: %w; check --server", c.base.Redacted(), err)
	}
	if a.Status >= http.StatusBadRequest {
		return nil, &AnswerError{Method: method, Path: path, Status: a.Status, Problem: a.Problem()}
	}
	return a.Body, nil
}

// readDashboard reads the answer to a request, which must be a dashboard.
func readDashboard(answer []byte, method, path string) (d configsvc.Dashboard, err error) {
	if err := json.Unmarshal(answer, &d); err != nil || d.ID == "" || d.Version < 1 {
		return d, fmt.Errorf("the answer to %s %s is no dashboard: is --server the config service?", method, path)
	}
	return d, nil
}

func path(id string) string { return "/dashboards/" + id }

// meant replaces an answer by what it means, where it means one of our errors.
func meant(err error, status int, is error) error {
	var e *AnswerError
	if errors.As(err, &e) && e.Status == status {
		return fmt.Errorf("%w: %w", is, err)
	}
	return err
}

// Get returns a dashboard and the tag of its version. That is made of the document:
// the header ETag may be lost or changed on the way, by what compresses answers.
func (c *Client) Get(ctx context.Context, id string) (d configsvc.Dashboard, etag string, err error) {
	a, err := c.do(ctx, http.MethodGet, path(id), nil, nil)
	if err != nil {
		return d, "", meant(err, http.StatusNotFound, errNotFound)
	}
	d, err = readDashboard(a, http.MethodGet, path(id))
	return d, `"` + strconv.FormatInt(d.Version, 10) + `"`, err
}

// judge returns a dashboard as the service would keep it, by its own rules: its
// slice and its longest window are its own. What breaks them is an *AnswerError.
func (c *Client) judge(ctx context.Context, d configsvc.Dashboard) (configsvc.Dashboard, []configsvc.Warning, error) {
	const at = "/dashboards/validate"
	a, err := c.do(ctx, http.MethodPost, at, nil, d)
	if err != nil {
		return d, nil, err
	}
	var v configsvc.Validation
	if err := json.Unmarshal(a, &v); err != nil || v.Dashboard.ID == "" {
		return d, nil, fmt.Errorf("the answer to POST %s is no dashboard: is --server the config service?", at)
	}
	return v.Dashboard, v.Warnings, nil
}

// send creates or, with an ETag, replaces a dashboard.
func (c *Client) send(ctx context.Context, d configsvc.Dashboard, etag string) (configsvc.Dashboard, error) {
	if etag == "" {
		a, err := c.do(ctx, http.MethodPost, "/dashboards", nil, d)
		if err != nil {
			return d, meant(err, http.StatusConflict, errExists)
		}
		return readDashboard(a, http.MethodPost, "/dashboards")
	}
	a, err := c.do(ctx, http.MethodPut, path(d.ID), nil, d, "If-Match", etag)
	if err != nil {
		return d, meant(meant(err, http.StatusPreconditionFailed, errStale), http.StatusNotFound, errNotFound)
	}
	return readDashboard(a, http.MethodPut, path(d.ID))
}

func (c *Client) remove(ctx context.Context, id, etag string) error {
	_, err := c.do(ctx, http.MethodDelete, path(id), nil, nil, "If-Match", etag)
	return meant(meant(err, http.StatusPreconditionFailed, errStale), http.StatusNotFound, errNotFound)
}

// Metrics returns all metrics that arrive, ordered by name.
func (c *Client) Metrics(ctx context.Context) ([]configsvc.Metric, error) {
	var out []configsvc.Metric
	query := url.Values{"limit": {"200"}}
	for {
		a, err := c.do(ctx, http.MethodGet, "/metrics/catalog", query, nil)
		if err != nil {
			return nil, err
		}
		var page configsvc.MetricPage
		if err := json.Unmarshal(a, &page); err != nil || page.Metrics == nil {
			return nil, errors.New("the answer to GET /metrics/catalog is no list of metrics: is --server the config service?")
		}
		out = append(out, page.Metrics...)
		if page.Next == nil || *page.Next == "" {
			return out, nil
		}
		query.Set("cursor", *page.Next)
	}
}

// List returns all dashboards that have all the tags, without widgets, ordered by title and id.
func (c *Client) List(ctx context.Context, tags ...string) ([]configsvc.Summary, error) {
	var out []configsvc.Summary
	query := url.Values{"limit": {"200"}, "tag": tags}
	for {
		a, err := c.do(ctx, http.MethodGet, "/dashboards", query, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Dashboards []configsvc.Summary `json:"dashboards"`
			Next       *string             `json:"next"`
		}
		if err := json.Unmarshal(a, &page); err != nil || page.Dashboards == nil {
			return nil, errors.New("the answer to GET /dashboards is no list of dashboards: is --server the config service?")
		}
		out = append(out, page.Dashboards...)
		if page.Next == nil || *page.Next == "" {
			return out, nil
		}
		query.Set("cursor", *page.Next)
	}
}
