package canary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
)

// The dashboard of all canaries. Its ids are fixed, so that each finds it.
const (
	DashboardID = "00000000-0000-4000-8000-63616e617279"
	Tag         = "pulseboard:canary"
	widgetID    = "00000000-0000-4000-8000-63616e617201"
)

// document is what of a dashboard matters here. Its other fields are people's.
type document struct {
	ID      string   `json:"dashboard_id"`
	Title   string   `json:"title"`
	Tags    []string `json:"tags"`
	Widgets []widget `json:"widgets"`
}

type widget struct {
	ID             string         `json:"widget_id"`
	Metric         string         `json:"metric_name"`
	Aggregation    string         `json:"aggregation"`
	WindowSeconds  int            `json:"window_seconds"`
	RefreshSeconds float64        `json:"refresh_interval_seconds"`
	DelaySeconds   int            `json:"delay_seconds"`
	Filter         map[string]any `json:"filter"`
	GroupBy        []string       `json:"group_by"`
	Display        display        `json:"display_config"`
}

// display asks for a chart with a history: the stream then sends every window.
type display struct {
	Chart string `json:"chart"`
}

func wanted() document {
	return document{
		ID: DashboardID, Title: "Canary", Tags: []string{Tag},
		Widgets: []widget{{
			ID: widgetID, Metric: Metric, Aggregation: "sum", WindowSeconds: Slots, RefreshSeconds: 1,
			Filter: map[string]any{}, GroupBy: []string{"instance"}, Display: display{Chart: "line"},
		}},
	}
}

// errOther is what another canary, or a person, did in the meantime.
var errOther = errors.New("the canary's dashboard was changed at the same time")

// ensure makes the dashboard, or makes it what it must be.
func (c *Canary) ensure(ctx context.Context) error {
	at := "/dashboards/" + DashboardID
	status, header, text, err := c.ask(ctx, http.MethodGet, at, "", nil)
	if err != nil {
		return err
	}
	switch status {
	case http.StatusOK:
		var have document
		if err := json.Unmarshal(text, &have); err != nil {
			return fmt.Errorf("GET %s%s answered no dashboard: %w", c.config.Config, at, err)
		}
		if reflect.DeepEqual(have, wanted()) {
			return nil
		}
		status, _, text, err = c.ask(ctx, http.MethodPut, at, header.Get("ETag"), wanted())
	case http.StatusNotFound:
		at = "/dashboards"
		status, _, text, err = c.ask(ctx, http.MethodPost, at, "", wanted())
	}
	switch {
	case err != nil:
		return err
	case status == http.StatusConflict || status == http.StatusPreconditionFailed || status == http.StatusNotFound:
		return errOther
	case status/100 != 2:
		return fmt.Errorf("%s%s answered %d: %.300s", c.config.Config, at, status, text)
	}
	return nil
}

func (c *Canary) ask(ctx context.Context, method, path, etag string, body any) (status int, header http.Header, text []byte, err error) {
	var b []byte
	if body != nil {
		if b, err = json.Marshal(body); err != nil {
			return 0, nil, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.config.Config+path, bytes.NewReader(b))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if etag != "" {
		req.Header.Set("If-Match", etag)
	}
	if err := c.bearer(req.Header); err != nil {
		return 0, nil, nil, err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close() //nolint:errcheck // It has been read.
	text, err = io.ReadAll(io.LimitReader(res.Body, 2<<20))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("cannot read the answer of %s: %w", req.URL, err)
	}
	return res.StatusCode, res.Header, text, nil
}
