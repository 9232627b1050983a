package canary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	at := c.config.Config + "/dashboards"
	answer, err := c.client.Do(ctx, http.MethodGet, at+"/"+DashboardID, nil)
	switch {
	case err != nil:
		return err
	case answer.Status == http.StatusNotFound:
		answer, err = c.client.Do(ctx, http.MethodPost, at, wanted())
	case answer.Status == http.StatusOK:
		at += "/" + DashboardID
		var have document
		if err := json.Unmarshal(answer.Body, &have); err != nil {
			return fmt.Errorf("GET %s answered no dashboard: %w", at, err)
		}
		if reflect.DeepEqual(have, wanted()) {
			return nil
		}
		answer, err = c.client.Do(ctx, http.MethodPut, at, wanted(), "If-Match", answer.Header.Get("ETag"))
	}
	switch {
	case err != nil:
		return err
	case answer.Status == http.StatusConflict || answer.Status == http.StatusPreconditionFailed || answer.Status == http.StatusNotFound:
		return errOther
	case answer.Status/100 != 2:
		return fmt.Errorf("%s answered %d: %.300s", at, answer.Status, answer.Body)
	}
	return nil
}
