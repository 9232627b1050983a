package configsvc

import (
	"math"

	"pulseboard/metric"
)

// Dashboard is the document that people edit. Version counts its changes.
type Dashboard struct {
	ID        string     `json:"dashboard_id"`
	Title     string     `json:"title"`
	Version   int64      `json:"version"`
	Tags      []string   `json:"tags"`
	Variables []Variable `json:"variables"`
	Widgets   []Widget   `json:"widgets"`
}

// Variable lets a viewer choose among the values of a tag.
type Variable struct {
	Name string `json:"name"`
	Tag  string `json:"tag"`
}

// Widget shows one query.
type Widget struct {
	ID             string             `json:"widget_id"`
	DashboardID    string             `json:"dashboard_id"`
	Metric         string             `json:"metric_name"`
	Aggregation    metric.Aggregation `json:"aggregation"`
	WindowSeconds  int                `json:"window_seconds"`
	RefreshSeconds float64            `json:"refresh_interval_seconds"` // Whole milliseconds.
	DelaySeconds   int                `json:"delay_seconds"`
	Filter         metric.Filter      `json:"filter"`
	GroupBy        []string           `json:"group_by"`
	Display        Display            `json:"display_config"`
}

// Query returns what the widget asks the pipeline for.
func (w Widget) Query() metric.Query {
	return metric.Query{
		Metric: w.Metric, Aggregation: w.Aggregation, WindowSeconds: w.WindowSeconds,
		DelaySeconds: w.DelaySeconds, Filter: w.Filter, GroupBy: w.GroupBy,
	}.Normal()
}

// RefreshMs returns the refresh interval in milliseconds.
func (w Widget) RefreshMs() int64 { return int64(math.Round(w.RefreshSeconds * 1000)) }

// Display says how a widget is drawn.
type Display struct {
	Chart       string      `json:"chart"`
	Title       string      `json:"title"`
	Unit        string      `json:"unit"`
	Position    Position    `json:"position"`
	ColorScheme string      `json:"color_scheme"`
	XAxis       XAxis       `json:"x_axis"`
	YAxis       YAxis       `json:"y_axis"`
	Thresholds  []Threshold `json:"thresholds"`
	Limit       int         `json:"limit"` // Series shown at most.
}

// Position is a place on the grid of 12 columns; rows go down without end.
type Position struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

// XAxis is the axis of time.
type XAxis struct {
	Label string `json:"label"`
}

// YAxis is the axis of values. A nil Min or Max follows the values.
type YAxis struct {
	Label string   `json:"label"`
	Scale string   `json:"scale"`
	Min   *float64 `json:"min"`
	Max   *float64 `json:"max"`
}

// Threshold colours the values from At on.
type Threshold struct {
	At    float64 `json:"at"`
	Level string  `json:"level"`
}
