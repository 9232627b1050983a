package wire

import (
	"encoding/json"
	"fmt"

	"pulseboard/metric"
)

//go:generate go run pulseboard/tools/tstypes -import "import type { Tags } from \"../model/series\";" -o ../web/src/live/messages.ts message.go hello.go stream.go value.go
//tstypes:union ServerMessage

// The messages of the server, one type each, for readers that need all of one, and
// for the types of the page. Times are epoch milliseconds of the server.

// SeriesInfo is one of the series of a widget; not grouped, there is one without tags.
type SeriesInfo struct {
	Tags metric.Tags `json:"tags"`
}

// StreamWidget is a widget of a dashboard as the stream numbers it.
type StreamWidget struct {
	Index     int    `json:"index"`
	WidgetID  string `json:"widget_id"`
	MetricKey string `json:"metric_key"` // Long ones come in pieces.
	KeyID     string `json:"key_id"`     // Stands for the metric key where it would be too long.
	RefreshMs int64  `json:"refresh_ms"`
	WindowMs  int64  `json:"window_ms"`
	DelayMs   int64  `json:"delay_ms,omitempty"` // Absent = 0.
	// Tags that the series are grouped by; absent = none.
	GroupBy []string `json:"group_by,omitempty"`
}

// DashboardVersion names a dashboard and its version.
type DashboardVersion struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
}

// WelcomeMessage answers a hello.
type WelcomeMessage struct {
	Type        string           `json:"type" ts:"\"welcome\""`
	ServerTime  int64            `json:"server_time"`
	HeartbeatMs int64            `json:"heartbeat_ms"`
	Build       string           `json:"build,omitempty"` // The page that the server has.
	Dashboard   DashboardVersion `json:"dashboard"`
	Widgets     []StreamWidget   `json:"widgets"`
	More        bool             `json:"more,omitempty"` // It goes on in a widgets message.
}

// DashboardMessage comes when the dashboard was edited.
type DashboardMessage struct {
	Type    string         `json:"type" ts:"\"dashboard\""`
	Version int64          `json:"version"`
	Widgets []StreamWidget `json:"widgets"`
	More    bool           `json:"more,omitempty"` // It goes on in a widgets message.
}

// WidgetsMessage is the rest of a welcome or dashboard message.
type WidgetsMessage struct {
	Type    string         `json:"type" ts:"\"widgets\""`
	Widgets []StreamWidget `json:"widgets"`
	More    bool           `json:"more,omitempty"`
}

// SnapshotMessage is the points of a widget that the client has not got yet.
type SnapshotMessage struct {
	Type          string          `json:"type" ts:"\"snapshot\""`
	Index         int             `json:"index"`
	State         State           `json:"state"`
	Detail        string          `json:"detail,omitempty"` // Why it is limited.
	Reset         bool            `json:"reset"`
	SeriesVersion string          `json:"series_version"`
	Series        []SeriesInfo    `json:"series" ts:"readonly SeriesInfo[] | null"` // Null: the list of this version, as it was sent last.
	CoveredSince  *int64          `json:"covered_since"`
	Points        []SnapshotPoint `json:"points"`
	Truncated     int             `json:"truncated,omitempty"` // Series that did not leave the pipeline at the newest point: those with lower values.
	Error         float64         `json:"error,omitempty"`     // How far off values of the newest point may be, relatively, where it is more than usual.
	More          bool            `json:"more,omitempty"`
}

// SeriesMessage lists the series of a widget before an update whose values have their order.
type SeriesMessage struct {
	Type          string       `json:"type" ts:"\"series\""`
	Index         int          `json:"index"`
	SeriesVersion string       `json:"series_version"`
	From          int          `json:"from,omitempty"` // The place of the first one in the list.
	Series        []SeriesInfo `json:"series"`
	More          bool         `json:"more,omitempty"`
}

// UpdateMessage is the newest results of the widgets that have any.
type UpdateMessage struct {
	Type       string        `json:"type" ts:"\"update\""`
	ServerTime int64         `json:"server_time"`
	Updates    []UpdateEntry `json:"updates"`
	Skipped    int           `json:"skipped" ts:"?"` // Results that came since the last update and are left out.
	More       bool          `json:"more,omitempty"`
}

// StateMessage is another state of a widget.
type StateMessage struct {
	Type   string `json:"type" ts:"\"state\""`
	Index  int    `json:"index"`
	State  State  `json:"state"`
	Detail string `json:"detail" ts:"?"`
}

// HeartbeatMessage comes when nothing else does.
type HeartbeatMessage struct {
	Type       string `json:"type" ts:"\"heartbeat\""`
	ServerTime int64  `json:"server_time"`
}

// CloseMessage is the last one.
type CloseMessage struct {
	Type             string `json:"type" ts:"\"close\""`
	Code             int    `json:"code"`
	Reason           string `json:"reason"`
	ReconnectAfterMs int64  `json:"reconnect_after_ms" ts:"?"`
}

// SnapshotPoint is one window: [end, newest event, values], null where nothing is.
type SnapshotPoint struct {
	WindowEnd   int64
	NewestEvent *int64
	Values      []*Value
}

// UpdateEntry is one widget's newest window: [index, end, newest event, series version, values, extra].
type UpdateEntry struct {
	Index         int
	WindowEnd     int64
	NewestEvent   *int64
	SeriesVersion string
	Values        []*Value     `ts:"null"` // Null: those of the widget's previous end on this connection.
	Extra         *UpdateExtra `ts:"?"`
}

// UpdateExtra is what differs from a window that is complete, has its usual length and all series.
type UpdateExtra struct {
	Start     int64 `json:"start" ts:"?"`
	Complete  bool  `json:"complete" ts:"?"`
	Truncated int   `json:"truncated,omitempty"` // Series that did not leave the pipeline: those with lower values.

	Error float64 `json:"error,omitempty"` // How far off values may be, relatively, where it is more than usual.
}

// UnmarshalJSON reads an object: what it leaves out is as usual.
func (e *UpdateExtra) UnmarshalJSON(b []byte) error {
	type plain UpdateExtra
	v := plain{Complete: true}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*e = UpdateExtra(v)
	return nil
}

// UnmarshalJSON reads [end, newest event, values].
func (p *SnapshotPoint) UnmarshalJSON(b []byte) error {
	return readTuple(b, 3, &p.WindowEnd, &p.NewestEvent, &p.Values)
}

// MarshalJSON is the inverse of UnmarshalJSON.
func (p SnapshotPoint) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{p.WindowEnd, p.NewestEvent, p.Values})
}

// UnmarshalJSON reads [index, end, newest event, series version, values], and extra where it is.
func (e *UpdateEntry) UnmarshalJSON(b []byte) error {
	return readTuple(b, 5, &e.Index, &e.WindowEnd, &e.NewestEvent, &e.SeriesVersion, &e.Values, &e.Extra)
}

// MarshalJSON is the inverse of UnmarshalJSON.
func (e UpdateEntry) MarshalJSON() ([]byte, error) {
	tuple := []any{e.Index, e.WindowEnd, e.NewestEvent, e.SeriesVersion, e.Values}
	if e.Extra != nil {
		tuple = append(tuple, e.Extra)
	}
	return json.Marshal(tuple)
}

// readTuple reads an array of at least so many members of different types. What
// follows those that are known is of a newer server.
func readTuple(b []byte, least int, members ...any) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	if len(raw) < least {
		return fmt.Errorf("a list has %d members, %d are needed", len(raw), least)
	}
	for i := range min(len(raw), len(members)) {
		if err := json.Unmarshal(raw[i], members[i]); err != nil {
			return fmt.Errorf("member %d of a list: %w", i, err)
		}
	}
	return nil
}

// ServerMessage reads a message of the server as a pointer to its type, nil when a newer
// server sends one of a type that is not known.
func ServerMessage(text []byte) (any, error) {
	var head struct {
		Type Kind `json:"type"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("cannot read a message of the stream: %w", err)
	}
	m, known := map[Kind]any{
		KindWelcome: new(WelcomeMessage), KindDashboard: new(DashboardMessage), KindWidgets: new(WidgetsMessage),
		KindSnapshot: new(SnapshotMessage), KindSeries: new(SeriesMessage), KindUpdate: new(UpdateMessage),
		KindState: new(StateMessage), KindHeartbeat: new(HeartbeatMessage), KindClose: new(CloseMessage),
	}[head.Type]
	if !known {
		return nil, nil
	}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("cannot read the message %s of the stream: %w", head.Type, err)
	}
	return m, nil
}
