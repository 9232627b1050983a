package load

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
)

// reportText is the report for people. A | ends a cell of a table.
const reportText = `
Run {{.Run}}, measured for {{printf "%.1f" .Seconds}} s on {{.Machine.CPUs}} CPUs ({{.Machine.OS}}/{{.Machine.Arch}}, {{.Machine.Go}}).
{{- with .Events}}

Events: {{number .Acknowledged}} of {{number .Due}} that were due were acknowledged, {{perSecond .Acknowledged}}/s of {{whole .Rate}}/s; requests of {{.Batch}}, {{.Metrics}} metrics, {{.Series}} series, {{.Tags}} tags.
{{- if sum .Retries429 .Retries503 .RetriesLost}}
  {{sum .Retries429 .Retries503 .RetriesLost}} requests were sent again: {{.Retries429}} after 429, {{.Retries503}} after 503, {{.RetriesLost}} without an answer.
{{- end}}
{{- if .WaitedSender}}
  {{.WaitedSender}} requests waited because all senders were waiting for answers.
{{- end}}
{{- end}}
{{- with .Streams}}

Streams: {{.Opened}} of {{.Connections}} connections, {{.Dashboards}} dashboards, {{.Streams}} metric keys; opened in p50 {{millis .Connecting.P50}}, p99 {{millis .Connecting.P99}}.
  measured part: {{number .Updates}} updates with {{number .Results}} results, {{perSecond .Results}}/s
{{- template "delivery" .Delivery}}
{{- if .Unpublished}}
  {{number .Unpublished}} window ends were not published by the pipeline, which is not the gateway's fault
{{- end}}
{{- if .Lost}}
  {{.Lost}} connections were lost: {{losses .LostBecause}}
{{- with .Back}}
  {{.Back}} times one was back with all its widgets: half within {{millis .Half}} of the first loss, 99 % within {{millis .Ninety9}}, all within {{millis .All}}; {{.Resets}} snapshots began anew, {{.GaveUp}} clients gave up
{{- end}}
{{- end}}
{{- with .Slow}}
  of them {{.Clients}} clients stopped reading; the gateway closed {{.Closed}} of these; their part, which is not in the above:
{{- template "delivery" .Delivery}}
{{- end}}
{{- end}}
{{- with .Check}}
{{if .Exact}}
Check: count and sum of {{.Metrics}} metrics are exact, over {{number .Events}} events.
{{- if .Doubtful}} ({{number .Doubtful}} events without an answer may be counted or not.){{end}}
{{- else}}
Check: counts or sums are WRONG.
{{- range .Faults}}
  {{.}}
{{- end}}
{{- end}}
{{- end}}

|p50|p95|p99|p99.9|max|of|
{{with .Events}}{{latency "request due → answered" .Latency}}{{end}}
{{- with .EndToRedis}}{{latency "window end → Redis" .}}{{end}}
{{- with .Streams}}
	{{- latency "window end → client" .EndToClient}}
	{{- latency "event → client" .EventToCl}}
	{{- latency "frame's server_time → client" .ServerToCl}}
	{{- latency "age of the newest result" .Staleness}}
{{- end}}
{{- with .Events}}{{latency "own: request due → begun" .Lateness}}{{end}}
{{- latency "own: timer due → fired" .Lateness}}
{{- with .Streams}}{{if .ServerToCl.Early}}
{{- number .ServerToCl.Early}} frames came before they were sent: the clocks of the machines differ, and the times with them.
{{end}}{{end}}
process|pid|CPU s|of a core|RSS at the end|
{{- if .Events}}CPU s/M events|{{end}}
{{- if .Streams}}CPU µs/update|RSS before streams|connected|RSS/connection|{{end}}
{{- range .Processes}}
{{.Name}}|{{.Pid}}|{{printf "%.2f" .CPUSeconds}}|{{printf "%.1f %%" (percent .CPUShare)}}|{{mebi .RSS}}|
{{- if $.Events}}{{printf "%.3f" .CPUPerMillion}}|{{end}}
{{- if $.Streams}}{{printf "%.1f" .CPUPerUpdate}}|{{mebi .RSSBefore}}|{{mebi .RSSConnected}}|{{kibi .BytesConnection}}|{{end}}
{{- end}}
{{- range .Heap}}
heap and stacks of {{.Gateway}}: {{mebi .Before}} before streams, {{mebi .Connected}} with them: {{kibi .BytesConnection}} a connection
{{- end}}
{{- range .Notes}}
Note: {{.}}.
{{- end}}
{{if .Valid}}
Valid: the load was made as asked for.{{if .Exact}} Exact: everything was delivered as promised.{{end}}
{{- end}}
{{- range .Invalid}}
INVALID, the figures do not count: {{.}}.
{{- end}}
{{- range .Faults}}
NOT EXACT: {{.}}.
{{- end}}
{{define "delivery"}}
  whole run: {{number .Delivered}} of {{number .Expected}} expected results delivered
{{- if .InSnapshots}} ({{number .InSnapshots}} of them in a later snapshot){{end}}
{{- if .LeftOut}}, {{number .LeftOut}} left out for a slow client{{end}}
  missing {{number .Missing}}, duplicate {{number .Duplicate}}, reordered {{number .Reordered}}
{{- if sum .OffGrid .Unknown}}, off the grid {{number .OffGrid}}, of unknown widgets {{number .Unknown}}{{end}}
{{- end}}`

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"number": number, "millis": millis, "mebi": mebi, "kibi": kibi, "losses": lossText, "latency": latencyRow,
		"whole":     func(v float64) string { return number(int64(v)) },
		"percent":   func(share float64) float64 { return 100 * share },
		"perSecond": func(n int64) string { return number(int64(float64(n)/r.Seconds + .5)) },
		"sum": func(all ...int64) (n int64) {
			for _, v := range all {
				n += v
			}
			return n
		},
	}).Parse(strings.ReplaceAll(reportText, "|", `{{"\t"}}`))
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if err := t.Execute(table, r); err != nil {
		return err
	}
	return table.Flush()
}

func latencyRow(name string, l Latency) string {
	if l.Count == 0 {
		return ""
	}
	return strings.Join([]string{name, millis(l.P50), millis(l.P95), millis(l.P99), millis(l.P999), millis(l.Max), number(l.Count), "\n"}, "\t")
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

func kibi(bytes float64) string { return fmt.Sprintf("%.1f KiB", bytes/1024) }
