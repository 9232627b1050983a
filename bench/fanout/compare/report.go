package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is the file of --json.
type report struct {
	Began   time.Time `json:"began"`
	Options facts     `json:"options"`
	Turns   []turn    `json:"turns"`
	// Means over the turns, the other server's divided by the gateway's: above 1 the
	// gateway needs less; 0 = too little to be measured.
	Ratios   ratios   `json:"ratios"`
	Warnings []string `json:"warnings"`
}

type facts struct {
	Cores           int     `json:"cores"`
	Connections     int     `json:"connections"`
	Dashboards      int     `json:"dashboards"`
	Widgets         int     `json:"widgets"`
	Series          int     `json:"series"`
	History         int     `json:"history"`
	Seconds         float64 `json:"seconds"`
	Env             string  `json:"env"`
	GatewayFlags    string  `json:"gateway_flags"`
	CentrifugeFlags string  `json:"centrifuge_flags"`
}

type ratios struct {
	CPUFrame float64 `json:"cpu_per_frame"`
	CPUEnd   float64 `json:"cpu_per_connection_and_end"`
	CPUWhole float64 `json:"cpu_per_frame_whole"`
	RSS      float64 `json:"rss_per_connection"`
	Heap     float64 `json:"heap_and_stacks_per_connection"`
	ToClient float64 `json:"p99_server_time_to_received"`
}

func (o *options) facts() facts {
	return facts{
		runtime.NumCPU(), o.connections, o.Dashboards, o.Widgets, o.Series, o.History, o.length.Seconds(), o.env, o.gatewayFlags, o.centrifugeFlags,
	}
}

// mean is that of a figure over the turns of a server.
func (r *report) mean(server string, figure func(turn) float64) float64 {
	sum, n := 0.0, 0
	for _, t := range r.Turns {
		if t.Server == server {
			sum += figure(t)
			n++
		}
	}
	if n == 0 {
		return 0 // It was stopped before.
	}
	return sum / float64(n)
}

func (r *report) ratio(figure func(turn) float64) float64 {
	ours := r.mean("gateway", figure)
	if ours <= 0 {
		return 0 // What is less than nothing was too small to be measured.
	}
	return r.mean("centrifuge", figure) / ours
}

const (
	lateLimit   = 150.0 // ms. Publishing that is later says that the machine is busy with something else.
	splitLimit  = 1.5   // Frames of a connection for each end.
	othersLimit = 0.15  // Cores. What others use is taken from the delays, and from the processor's cache.
)

func (r *report) sumUp() {
	r.Ratios = ratios{
		CPUFrame: r.ratio(func(t turn) float64 { return t.CPUFrame }),
		CPUEnd:   r.ratio(func(t turn) float64 { return t.CPUEnd }),
		CPUWhole: r.ratio(func(t turn) float64 { return t.CPUWhole }),
		RSS:      r.ratio(func(t turn) float64 { return t.RSSEach }),
		Heap:     r.ratio(func(t turn) float64 { return t.HeapEach }),
		ToClient: r.ratio(func(t turn) float64 { return t.ToClient.P99 }),
	}
	r.Warnings = []string{}
	for i, t := range r.Turns {
		warn := func(format string, args ...any) {
			r.Warnings = append(r.Warnings, fmt.Sprintf("turn %d, %s: ", i+1, t.Server)+fmt.Sprintf(format, args...))
		}
		if t.Delivered != t.Expected {
			warn("%d results of %d were delivered", t.Delivered, t.Expected)
		}
		if t.CPUFrame <= 0 {
			warn("CPU above idle is %.2f µs a frame: too little was delivered for a figure to hold, take more connections", t.CPUFrame)
		}
		if t.Publishing.Lateness.P99 > lateLimit {
			warn("publishing was late, p99 %.0f ms: delays say little about the server", t.Publishing.Lateness.P99)
		}
		if t.PerEnd > splitLimit {
			warn("the results of an end came in %.1f frames, because publishing took long: compare the CPU a connection and second", t.PerEnd)
		}
		if t.Others > othersLimit {
			warn("%.2f cores were used by processes that are none of this run", t.Others)
		}
		if t.Stolen > othersLimit {
			warn("%.2f cores were taken by other machines", t.Stolen)
		}
	}
}

func (r *report) print(out io.Writer) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) } // Without a reader it is of no use.
	o := r.Options
	line("## The gateway and centrifuge: %d connections over %d dashboards × %d widgets × %d series at 1 Hz\n", o.Connections, o.Dashboards, o.Widgets, o.Series)
	line("%s; %d cores; %.0f s a turn, servers fresh in each, %s%s%s.\n", r.Began.Format("2006-01-02 15:04 UTC"), o.Cores, o.Seconds, o.Env,
		named("gateway flags", o.GatewayFlags), named("centrifuge flags", o.CentrifugeFlags))
	head := []string{""}
	for _, t := range r.Turns {
		head = append(head, t.Server)
	}
	rows := [][]string{head, slices.Repeat([]string{"---"}, len(head))}
	row := func(name, format string, figure func(turn) []any) {
		cells := []string{name}
		for _, t := range r.Turns {
			cells = append(cells, fmt.Sprintf(format, figure(t)...))
		}
		rows = append(rows, cells)
	}
	row("CPU a frame delivered, above idle", "%.2f µs", func(t turn) []any { return []any{t.CPUFrame} })
	row("CPU a connection and second, above idle", "%.2f µs", func(t turn) []any { return []any{t.CPUEnd} })
	row("CPU a frame delivered, with idle", "%.2f µs", func(t turn) []any { return []any{t.CPUWhole} })
	row("of a core, idle / with connections", "%.3f / %.3f", func(t turn) []any { return []any{t.IdleCores, t.Cores} })
	row("memory (RSS) a connection", "%.2f KiB", func(t turn) []any { return []any{t.RSSEach / 1024} })
	row("heap and stacks a connection", "%.2f KiB%s", func(t turn) []any {
		return []any{t.HeapEach / 1024, map[bool]string{true: " after a collection"}[t.ForcedGC]}
	})
	row("RSS before / with connections", "%.1f / %.1f MB", func(t turn) []any { return []any{float64(t.RSSBefore) / 1e6, float64(t.RSSAfter) / 1e6} })
	row("results delivered of expected", "%d / %d", func(t turn) []any { return []any{t.Delivered, t.Expected} })
	row("frames for each end; bytes a frame", "%.3f; %.0f", func(t turn) []any { return []any{t.PerEnd, t.FrameSize} })
	row("server_time → received, p50 / p99", "%.1f / %.1f ms", func(t turn) []any { return []any{t.ToClient.P50, t.ToClient.P99} })
	row("window end → received, p50 / p99", "%.1f / %.1f ms", func(t turn) []any { return []any{t.FromEnd.P50, t.FromEnd.P99} })
	row("window end → PUBLISH done, p50 / p99", "%.1f / %.1f ms", func(t turn) []any { return []any{t.Publishing.Lateness.P50, t.Publishing.Lateness.P99} })
	row("server_time → given to centrifuge, p50 / p99", "%.1f / %.1f ms", func(t turn) []any { return []any{t.Feed.DelayP50, t.Feed.DelayP99} })
	row("cores: this program / processes of others", "%.2f / %.2f", func(t turn) []any { return []any{t.OwnCores, t.Others} })
	for _, cells := range rows {
		line("| %s |", strings.Join(cells, " | "))
	}
	line("\ncentrifuge ÷ gateway: CPU a frame **%s** (a connection and second %s, with idle %s), memory a connection **%s** (heap and stacks %s), p99 to the client %s.",
		times(r.Ratios.CPUFrame), times(r.Ratios.CPUEnd), times(r.Ratios.CPUWhole), times(r.Ratios.RSS), times(r.Ratios.Heap), times(r.Ratios.ToClient))
	for _, w := range r.Warnings {
		line("Warning: %s.", w)
	}
}

func times(ratio float64) string {
	if ratio == 0 {
		return "not known"
	}
	return fmt.Sprintf("%.2f", ratio)
}

func named(name, flags string) string {
	if flags == "" {
		return ""
	}
	return ", " + name + " `" + flags + "`"
}
