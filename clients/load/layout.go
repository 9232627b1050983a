package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"pulseboard/wire"
)

// dashboard is one that clients watch. Clients with the same layout share it.
type dashboard struct {
	id string

	mu     sync.Mutex
	text   []byte // The widgets of the newest layout, as the server wrote them.
	layout *layout
}

// layout is the widgets of a dashboard.
type layout struct {
	widgets []widget
}

type widget struct {
	id, keyID string
	stream    *stream
}

// learn returns the layout in a welcome or a dashboard message, and in the
// messages that go on with it.
func (d *dashboard) learn(p *publications, texts ...[]byte) (*layout, error) {
	var widgetTexts []byte
	for _, text := range texts {
		// What stands before it differs with each message.
		_, widgets, _ := bytes.Cut(text, []byte(`"widgets"`))
		widgetTexts = append(widgetTexts, widgets...)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.layout != nil && bytes.Equal(widgetTexts, d.text) {
		return d.layout, nil
	}
	var all []wire.StreamWidget
	for _, text := range texts {
		var m wire.WidgetsMessage // What welcome and dashboard have besides does not matter.
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, fmt.Errorf("cannot read the widgets of dashboard %s: %w", d.id, err)
		}
		for _, w := range m.Widgets {
			if last := len(all) - 1; last >= 0 && all[last].Index == w.Index {
				all[last].MetricKey += w.MetricKey // The next piece of a long key.
			} else {
				all = append(all, w)
			}
		}
	}
	l := new(layout)
	for _, w := range all {
		if w.RefreshMs <= 0 {
			return nil, fmt.Errorf("the refresh interval of widget %s is %d ms", w.WidgetID, w.RefreshMs)
		}
		l.widgets = append(l.widgets, widget{w.WidgetID, w.KeyID, p.stream(w.MetricKey, w.RefreshMs)})
	}
	d.text, d.layout = widgetTexts, l
	return l, nil
}
