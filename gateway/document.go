package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"

	"pulseboard/metric"
)

// documentWidget is what the gateway needs of a widget.
type documentWidget struct {
	ID             string             `json:"widget_id"`
	Metric         string             `json:"metric_name"`
	Aggregation    metric.Aggregation `json:"aggregation"`
	WindowSeconds  int                `json:"window_seconds"`
	RefreshSeconds float64            `json:"refresh_interval_seconds"` // Absent = 1.
	DelaySeconds   int                `json:"delay_seconds"`
	Filter         metric.Filter      `json:"filter"`
	GroupBy        []string           `json:"group_by"`
	Display        struct {
		Chart string `json:"chart"`
	} `json:"display_config"`
}

// spec is a widget as the stream sees it.
type spec struct {
	id        string
	query     metric.Query
	key       string
	keyID     string // Names key in few bytes.
	refreshMs int64
	history   bool // Its picture shows more than the newest point: a table has the lowest and highest of the range.
}

// document is what the gateway needs of a dashboard.
type document struct {
	version   int64
	variables []variable
	specs     []spec
}

// variable lets viewers choose among the series of widgets grouped by its tag.
type variable struct {
	Name string `json:"name"`
	Tag  string `json:"tag"`
}

// parseDocument reads a dashboard. Widgets that no query can be made of are
// left out and named, so that one of them does not spoil the others.
func parseDocument(b []byte) (doc document, bad []string, err error) {
	var d struct {
		Version   int64             `json:"version"`
		Variables []variable        `json:"variables"`
		Widgets   []json.RawMessage `json:"widgets"`
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return doc, nil, fmt.Errorf("cannot read the dashboard's document: %w", err)
	}
	doc.version, doc.variables = d.Version, d.Variables
	for i, raw := range d.Widgets {
		var w documentWidget
		err := json.Unmarshal(raw, &w)
		if err == nil {
			var s spec
			if s, err = w.spec(); err == nil {
				doc.specs = append(doc.specs, s)
				continue
			}
		}
		bad = append(bad, fmt.Sprintf("widget %d %q: %v", i, w.ID, err))
	}
	return doc, bad, nil
}

func (w *documentWidget) spec() (spec, error) {
	q := metric.Query{
		Metric: w.Metric, Aggregation: w.Aggregation, WindowSeconds: w.WindowSeconds,
		DelaySeconds: w.DelaySeconds, Filter: w.Filter, GroupBy: w.GroupBy,
	}.Normal()
	if err := q.Validate(); err != nil {
		return spec{}, err
	}
	if w.ID == "" || len(w.ID) > maxWidgetID {
		return spec{}, fmt.Errorf("its widget_id has %d bytes: it must be 1 to %d", len(w.ID), maxWidgetID)
	}
	refresh := int64(math.Round(w.RefreshSeconds * 1000))
	if refresh <= 0 {
		refresh = 1000
	}
	key := q.Key()
	return spec{id: w.ID, query: q, key: key, keyID: keyID(key), refreshMs: refresh, history: w.Display.Chart != "gauge"}, nil
}

// maxWidgetID is more than a UUID has: frames have room for it.
const maxWidgetID = 200

// keyID stands for a metric key, which may be long: 200 of them fit the hello that
// resumes their widgets.
func keyID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
