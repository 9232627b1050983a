package load

import (
	"fmt"
	"time"

	"pulseboard/internal/histogram"
)

// Report is what a run found. It is the JSON form too; docs/load.md lists its fields.
type Report struct {
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"measured_seconds"`
	Machine Machine   `json:"machine"`
	// Valid says that the load was made as asked for: that this process was not the limit.
	Valid bool `json:"valid"`
	// Exact says that everything was delivered as promised, once.
	Exact bool `json:"exact"`
	// Reasons are why not, in sentences.
	Invalid []string `json:"invalid_because,omitempty"`
	Faults  []string `json:"faults,omitempty"`
	Notes   []string `json:"notes,omitempty"`

	Events  *EventsReport  `json:"events,omitempty"`
	Streams *StreamsReport `json:"streams,omitempty"`
	Check   *CheckReport   `json:"check,omitempty"`
	// From the end of a window until Redis announced its result.
	EndToRedis *Latency        `json:"window_end_to_redis,omitempty"`
	Processes  []ProcessReport `json:"processes"`
	Heap       []HeapReport    `json:"heap,omitempty"`
	// Lateness of this process: of a timer that is due every few milliseconds.
	Lateness Latency `json:"own_lateness"`
}

// Machine is where the load ran.
type Machine struct {
	CPUs int    `json:"cpus"`
	OS   string `json:"os"`
	Arch string `json:"arch"`
	Go   string `json:"go"`
}

// EventsReport is about POST /ingest, in the measured part unless it says more.
type EventsReport struct {
	Rate         float64 `json:"rate"` // Asked for, events a second.
	Batch        int     `json:"batch"`
	Metrics      int     `json:"metrics"`
	Series       int     `json:"series"` // Of all metrics.
	Tags         int     `json:"tags"`
	Due          int64   `json:"due"`   // Events that were due.
	Begun        int64   `json:"begun"` // Events whose request was begun.
	Acknowledged int64   `json:"acknowledged"`
	Achieved     float64 `json:"achieved"` // Begun of due, at most 1.
	// From when a request was due until its answer, retries included.
	Latency Latency `json:"latency"`
	// From when a request was due until it was begun.
	Lateness     Latency `json:"lateness"`
	WaitedSender int64   `json:"waited_for_a_sender"` // Requests, over the whole run.
	// Requests that were sent again, over the whole run.
	Retries429   int64  `json:"retries_429"`
	Retries503   int64  `json:"retries_503"`
	RetriesLost  int64  `json:"retries_no_answer"`
	Rejected     int64  `json:"rejected"` // Events, over the whole run.
	Doubtful     int64  `json:"doubtful"` // Events given up without an acknowledgement, over the whole run.
	FirstTrouble string `json:"first_trouble,omitempty"`
	TotalEvents  int64  `json:"total_acknowledged"` // Over the whole run.
}

// StreamsReport is about the clients. Delivery counts over their whole life,
// latencies over the measured part and without the clients that stopped reading.
type StreamsReport struct {
	Connections int            `json:"connections"`
	Opened      int            `json:"opened"`
	Failed      int            `json:"failed"`
	Dashboards  int            `json:"dashboards"`
	Streams     int            `json:"streams"` // Metric keys and refresh intervals.
	Connecting  Latency        `json:"connecting"`
	Delivery    Delivery       `json:"delivery"`
	Unpublished int64          `json:"unpublished"` // Window ends that no client was given and no history holds: the pipeline's.
	Updates     int64          `json:"updates"`     // Frames of updates.
	Results     int64          `json:"results"`     // In them.
	Bytes       int64          `json:"bytes"`       // Of all frames.
	EndToClient Latency        `json:"window_end_to_client"`
	EventToCl   Latency        `json:"event_to_client"`
	ServerToCl  Latency        `json:"server_to_client"`
	Staleness   Latency        `json:"staleness"`
	Lost        int            `json:"lost"` // Connections.
	LostBecause map[string]int `json:"lost_because,omitempty"`
	Back        *BackReport    `json:"back,omitempty"`
	Slow        *SlowReport    `json:"stopped_reading,omitempty"`
}

// BackReport is about clients that came back. Times count from the first loss.
type BackReport struct {
	Back    int     `json:"back"` // Times that a client had all its widgets again.
	GaveUp  int     `json:"gave_up"`
	Resets  int64   `json:"resets"` // Snapshots that began anew instead of going on.
	Half    float64 `json:"half_ms"`
	Ninety9 float64 `json:"p99_ms"`
	All     float64 `json:"all_ms"`
}

// SlowReport is about clients that stopped reading for the measured part.
type SlowReport struct {
	Clients  int      `json:"clients"`
	Closed   int      `json:"closed"` // By the gateway.
	Delivery Delivery `json:"delivery"`
}

// Latency is a distribution in milliseconds. Quantiles are at most 0.8 % above
// the value at their rank; Max is exact.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99_9_ms"`
	Max   float64 `json:"max_ms"`
	Early int64   `json:"early"` // Of Count, how many were below 0 and count as 0: clocks that differ.
}

func latencyOf(h *histogram.Histogram) Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{
		Count: h.Count(), P50: ms(h.Quantile(.5)), P95: ms(h.Quantile(.95)), P99: ms(h.Quantile(.99)),
		P999: ms(h.Quantile(.999)), Max: ms(h.Max()), Early: h.Early(),
	}
}

// judge sets Valid and Exact, and says in Invalid and Faults why they are not.
func (r *Report) judge(c *Config) {
	if p99 := r.Lateness.P99; p99 > lateMs {
		r.invalid("this process itself was late: timers fired %.0f ms late at p99, at most %d ms are allowed; give it a core of its own or lower the load", p99, lateMs)
	}
	if r.Events != nil {
		r.judgeEvents(c, r.Events)
	}
	if r.Streams != nil {
		r.judgeStreams(r.Streams)
	}
	if r.Check != nil && !r.Check.Exact {
		r.fault("counts or sums are wrong: %s", r.Check.Faults[0])
	}
	r.Valid, r.Exact = len(r.Invalid) == 0, len(r.Faults) == 0
}

func (r *Report) invalid(format string, args ...any) {
	r.Invalid = append(r.Invalid, fmt.Sprintf(format, args...))
}

func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

func (r *Report) judgeEvents(c *Config, e *EventsReport) {
	why := "lower --rate or give this process a core of its own"
	if e.WaitedSender > 0 {
		why = fmt.Sprintf("all %d senders were waiting for answers %d times: the service does not keep up with the rate, or raise --senders", c.Senders, e.WaitedSender)
	}
	switch {
	case e.Achieved < rateLimit:
		r.invalid("%.1f %% of the requests that were due were begun, at least %.0f %% must be; %s", 100*e.Achieved, 100*rateLimit, why)
	case e.Lateness.P99 > lateMs:
		r.invalid("requests were begun %.0f ms late at p99, at most %d ms are allowed; %s", e.Lateness.P99, lateMs, why)
	}
	if e.Rejected > 0 || e.Doubtful > 0 {
		r.fault("%d events were rejected and %d not acknowledged; first: %s", e.Rejected, e.Doubtful, e.FirstTrouble)
	}
}

func (r *Report) judgeStreams(s *StreamsReport) {
	d := s.Delivery
	if d.Faults() > 0 {
		r.fault("of %d results, %d are missing, %d came twice, %d out of order, %d off the grid, %d of unknown widgets", d.Expected, d.Missing, d.Duplicate, d.Reordered, d.OffGrid, d.Unknown)
	}
	if s.Slow != nil && s.Slow.Delivery.Faults() > 0 {
		d := s.Slow.Delivery
		r.fault("of %d results to clients that stopped reading, %d are missing, %d came twice, %d out of order", d.Expected, d.Missing, d.Duplicate, d.Reordered)
	}
	if d.Expected == 0 && d.Faults() == 0 {
		r.fault("no result came to any client: do the dashboards have metrics with events?")
	}
	if s.Unpublished > 0 {
		r.fault("the pipeline did not publish %d window ends", s.Unpublished)
	}
	switch {
	case s.Lost > 0 && s.Back == nil:
		r.fault("%d connections were lost: %s", s.Lost, lossText(s.LostBecause))
	case s.Lost > 0 && s.Back.Back < s.Lost:
		r.fault("%d connections were lost, %d times one came back with all its widgets", s.Lost, s.Back.Back)
	}
}
