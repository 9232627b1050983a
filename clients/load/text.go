package load

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nRun %s, measured for %.1f s on %d CPUs (%s/%s, %s).\n", r.Run, r.Seconds, r.Machine.CPUs, r.Machine.OS, r.Machine.Arch, r.Machine.Go)
	r.eventsText(&b)
	r.streamsText(&b)
	r.checkText(&b)
	r.latencyText(&b)
	r.processText(&b)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "Note: %s.\n", n)
	}
	r.verdictText(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) eventsText(b *strings.Builder) {
	e := r.Events
	if e == nil {
		return
	}
	fmt.Fprintf(b, "\nEvents: %s of %s that were due were acknowledged, %s/s of %s/s; requests of %d, %d metrics, %d series, %d tags.\n",
		number(e.Acknowledged), number(e.Due), number(int64(float64(e.Acknowledged)/r.Seconds+.5)), number(int64(e.Rate)), e.Batch, e.Metrics, e.Series, e.Tags)
	if n := e.Retries429 + e.Retries503 + e.RetriesLost; n > 0 {
		fmt.Fprintf(b, "  %d requests were sent again: %d after 429, %d after 503, %d without an answer.\n", n, e.Retries429, e.Retries503, e.RetriesLost)
	}
	if e.WaitedSender > 0 {
		fmt.Fprintf(b, "  %d requests waited because all senders were waiting for answers.\n", e.WaitedSender)
	}
}

func (r *Report) streamsText(b *strings.Builder) {
	s := r.Streams
	if s == nil {
		return
	}
	fmt.Fprintf(b, "\nStreams: %d of %d connections, %d dashboards, %d metric keys; opened in p50 %s, p99 %s.\n",
		s.Opened, s.Connections, s.Dashboards, s.Streams, millis(s.Connecting.P50), millis(s.Connecting.P99))
	fmt.Fprintf(b, "  measured part: %s updates with %s results, %s/s\n", number(s.Updates), number(s.Results), number(int64(float64(s.Results)/r.Seconds+.5)))
	deliveryText(b, s.Delivery)
	if s.Unpublished > 0 {
		fmt.Fprintf(b, "  %s window ends were not published by the pipeline, which is not the gateway's fault\n", number(s.Unpublished))
	}
	if s.Lost > 0 {
		fmt.Fprintf(b, "  %d connections were lost: %s\n", s.Lost, lossText(s.LostBecause))
	}
	if k := s.Back; k != nil && s.Lost > 0 {
		fmt.Fprintf(b, "  %d times one was back with all its widgets: half within %s of the first loss, 99 %% within %s, all within %s; %d snapshots began anew, %d clients gave up\n",
			k.Back, millis(k.Half), millis(k.Ninety9), millis(k.All), k.Resets, k.GaveUp)
	}
	if k := s.Slow; k != nil {
		fmt.Fprintf(b, "  of them %d clients stopped reading; the gateway closed %d of these; their part, which is not in the above:\n", k.Clients, k.Closed)
		deliveryText(b, k.Delivery)
	}
}

func deliveryText(b *strings.Builder, d Delivery) {
	fmt.Fprintf(b, "  whole run: %s of %s expected results delivered", number(d.Delivered), number(d.Expected))
	if d.InSnapshots > 0 {
		fmt.Fprintf(b, " (%s of them in a later snapshot)", number(d.InSnapshots))
	}
	if d.LeftOut > 0 {
		fmt.Fprintf(b, ", %s left out for a slow client", number(d.LeftOut))
	}
	fmt.Fprintf(b, "\n  missing %s, duplicate %s, reordered %s", number(d.Missing), number(d.Duplicate), number(d.Reordered))
	if d.OffGrid+d.Unknown > 0 {
		fmt.Fprintf(b, ", off the grid %s, of unknown widgets %s", number(d.OffGrid), number(d.Unknown))
	}
	b.WriteString("\n")
}

func (r *Report) checkText(b *strings.Builder) {
	c := r.Check
	switch {
	case c == nil:
	case c.Exact:
		fmt.Fprintf(b, "\nCheck: count and sum of %d metrics are exact, over %s events.", c.Metrics, number(c.Events))
		if c.Doubtful > 0 {
			fmt.Fprintf(b, " (%s events without an answer may be counted or not.)", number(c.Doubtful))
		}
		b.WriteString("\n")
	default:
		b.WriteString("\nCheck: counts or sums are WRONG.\n")
		for _, f := range c.Faults {
			fmt.Fprintf(b, "  %s\n", f)
		}
	}
}

func (r *Report) latencyText(b *strings.Builder) {
	b.WriteString("\n")
	var t table
	row := func(name string, l Latency) {
		if l.Count == 0 {
			return
		}
		t.row(name, millis(l.P50), millis(l.P95), millis(l.P99), millis(l.P999), millis(l.Max), number(l.Count))
	}
	t.row("", "p50", "p95", "p99", "p99.9", "max", "of")
	if e := r.Events; e != nil {
		row("request due → answered", e.Latency)
	}
	if r.EndToRedis != nil {
		row("window end → Redis", *r.EndToRedis)
	}
	early := int64(0)
	if s := r.Streams; s != nil {
		row("window end → client", s.EndToClient)
		row("event → client", s.EventToCl)
		row("frame's server_time → client", s.ServerToCl)
		row("age of the newest result", s.Staleness)
		early = s.ServerToCl.Early
	}
	if e := r.Events; e != nil {
		row("own: request due → begun", e.Lateness)
	}
	row("own: timer due → fired", r.Lateness)
	t.writeTo(b)
	if early > 0 {
		fmt.Fprintf(b, "%s frames came before they were sent: the clocks of the machines differ, and the times with them.\n", number(early))
	}
}

func (r *Report) processText(b *strings.Builder) {
	b.WriteString("\n")
	var t table
	choose := func(always []string, events string, streams ...string) []string {
		cells := slices.Clone(always)
		if r.Events != nil {
			cells = append(cells, events)
		}
		if r.Streams != nil {
			cells = append(cells, streams...)
		}
		return cells
	}
	t.row(choose([]string{"process", "pid", "CPU s", "of a core", "RSS at the end"},
		"CPU s/M events", "CPU µs/update", "RSS before streams", "connected", "RSS/connection")...)
	for _, p := range r.Processes {
		t.row(choose([]string{p.Name, strconv.Itoa(p.Pid), fmt.Sprintf("%.2f", p.CPUSeconds), fmt.Sprintf("%.1f %%", 100*p.CPUShare), mebi(p.RSS)},
			fmt.Sprintf("%.3f", p.CPUPerMillion),
			fmt.Sprintf("%.1f", p.CPUPerUpdate), mebi(p.RSSBefore), mebi(p.RSSConnected), fmt.Sprintf("%.1f KiB", p.BytesConnection/1024))...)
	}
	t.writeTo(b)
	for _, h := range r.Heap {
		fmt.Fprintf(b, "heap and stacks of %s: %s before streams, %s with them: %.1f KiB a connection\n", h.Gateway, mebi(h.Before), mebi(h.Connected), h.BytesConnection/1024)
	}
}

func (r *Report) verdictText(b *strings.Builder) {
	b.WriteString("\n")
	if r.Valid && r.Exact {
		b.WriteString("Valid: the load was made as asked for. Exact: everything was delivered as promised.\n")
		return
	}
	if r.Valid {
		b.WriteString("Valid: the load was made as asked for.\n")
	}
	for _, why := range r.Invalid {
		fmt.Fprintf(b, "INVALID, the figures do not count: %s.\n", why)
	}
	for _, f := range r.Faults {
		fmt.Fprintf(b, "NOT EXACT: %s.\n", f)
	}
}

// table aligns its columns to the right.
type table struct{ text strings.Builder }

func (t *table) row(cells ...string) { t.text.WriteString(strings.Join(cells, "\t") + "\t\n") }

func (t *table) writeTo(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	// A builder takes everything.
	_, _ = io.WriteString(w, t.text.String())
	_ = w.Flush()
}

// number has a comma after each three digits.
func number(v int64) string {
	s := fmt.Sprint(v)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func millis(ms float64) string {
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}

func mebi(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
