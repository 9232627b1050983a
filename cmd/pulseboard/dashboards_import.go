package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"pulseboard/clients/dashcode"
	"pulseboard/clients/grafana"
	"pulseboard/configsvc"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
	"pulseboard/metric"
)

const aboutImport = `
pulseboard dashboards import-grafana makes dashboard files of dashboards that
Grafana exported (classic JSON, Grafana 5 or later, or a resource file, v1 and
v2), and reports on standard error what became of every panel and every query,
the worst first: lost, right if something holds, right as it is. Nothing is left
out silently.
It reads panels of type timeseries, graph, gauge, bargauge, stat, singlestat,
table and heatmap with simple queries of Prometheus; docs/grafana.md says what
becomes of which query, and when that is right.

With --server it asks the config service which tags the metrics have that
arrive, by which lines are parted then without a condition, and how late they
come, which is how long windows wait.

  pulseboard dashboards import-grafana --dir dashboards node.json redis.json
  pulseboard dashboards import-grafana --server http://127.0.0.1:8080 --dir dashboards node.json
  pulseboard dashboards import-grafana --report json node.json > node.yaml 2> report.json

Exit codes: 0 all mapped, 1 something was not, 2 not done. --allow-unmapped makes 1 a 0.`

func importGrafana(ctx context.Context, env service.Env) error {
	f := dashboardFlags{Flags: conf.New("pulseboard dashboards import-grafana", aboutImport), alone: true}
	f.rulesFlags()
	f.serverFlags()
	out := writing{env: env}
	out.flags(f.Flags)
	var o grafana.Options
	f.IntVar(&o.Window, "window", 60, "window in `seconds` of queries that leave it to Grafana, such as [$__rate_interval]")
	f.IntVar(&o.SendInterval, "send-interval", 15, "`seconds` between two events of one series: irate() is over two")
	f.IntVar(&o.Delay, "delay", 0, "`seconds` that windows wait for late events: 5 or more for Prometheus' remote write and others that send in batches")
	form := f.String("report", "text", "`form` of the report on standard error: text or json")
	allow := f.Bool("allow-unmapped", false, "exit with 0 also when something was not mapped")
	files, err := f.parse(env, true)
	if err != nil {
		return err
	}
	o.MaxWindow, o.SliceMs = f.maxWindow, f.slice.Milliseconds()
	if *form != "text" && *form != "json" {
		return fmt.Errorf("--report is %q: it must be text or json", *form)
	}
	for _, x := range []struct {
		flag               string
		value, least, most int
	}{{"window", o.Window, 1, o.MaxWindow}, {"send-interval", o.SendInterval, 1, o.MaxWindow}, {"delay", o.Delay, 0, metric.MaxDelaySeconds}} {
		if x.value < x.least || x.value > x.most {
			return fmt.Errorf("--%s is %d: it must be %d to %d", x.flag, x.value, x.least, x.most)
		}
	}
	if err := out.check(); err != nil {
		return err
	}
	if f.server != "" {
		if err := f.askForMetrics(ctx, &o); err != nil {
			return err
		}
	}
	var found []configsvc.Dashboard
	reports := []grafana.Report{}
	fileOf := make(map[string]string) // By dashboard_id.
	complete := true
	for _, file := range files {
		input, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", file, errors.Unwrap(err))
		}
		d, r, err := convertOnce(file, input, o, fileOf)
		if err != nil {
			return err
		}
		fileOf[d.ID] = file
		found, reports = append(found, d), append(reports, r)
		complete = complete && r.Complete()
	}
	slices.SortStableFunc(reports, grafana.Worse)
	if *form == "json" {
		err = printJSON(env.Stderr, reports)
	} else {
		err = printReports(env.Stderr, reports)
	}
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	// In JSON, standard error is the report alone.
	out.quiet = *form == "json"
	if err := out.write(found); err != nil {
		return err
	}
	if !complete && !*allow {
		return &service.Exit{Code: exitDiffers}
	}
	return nil
}

// askForMetrics asks which tags and units the metrics have that arrive, and how late they come.
func (f *dashboardFlags) askForMetrics(ctx context.Context, o *grafana.Options) error {
	client, err := dashcode.NewClient(f.server, f.token.Text.Reveal())
	if err != nil {
		return err
	}
	metrics, err := client.Metrics(ctx)
	if err != nil {
		return err
	}
	o.Tags, o.Arrival, o.Units = make(map[string][]string, len(metrics)), make(map[string]int, len(metrics)), make(map[string]string)
	for _, m := range metrics {
		o.Arrival[m.Name] = m.ArrivalSeconds
		if len(m.Units) == 1 { // Of several nobody knows which is right.
			o.Units[m.Name] = m.Units[0]
		}
		if m.MoreTags > 0 || m.Overflow {
			continue // Not all tags are known.
		}
		slices.SortStableFunc(m.Tags, func(a, b configsvc.MetricTag) int { return len(b.Values) + b.More - len(a.Values) - a.More })
		keys := make([]string, 0, len(m.Tags))
		for _, t := range m.Tags {
			keys = append(keys, t.Key)
		}
		o.Tags[m.Name] = keys
	}
	return nil
}

// convertOnce gives a dashboard another id where another file has it, as its forms of different versions of Grafana have.
func convertOnce(file string, input []byte, o grafana.Options, fileOf map[string]string) (configsvc.Dashboard, grafana.Report, error) {
	d, r, err := grafana.Convert(file, input, o)
	other, twice := fileOf[d.ID]
	if err != nil || !twice {
		return d, r, err
	}
	o.IDOfFile = true
	if d, r, err = grafana.Convert(file, input, o); err != nil {
		return d, r, err
	}
	if again, still := fileOf[d.ID]; still || other == file {
		return d, r, fmt.Errorf("%s and %s are the same dashboard of Grafana (uid, or title without one): name one of them", cmp.Or(again, other), file)
	}
	r.Other = append(r.Other, grafana.Item{Kind: "setting", Name: "uid", Outcome: grafana.Right, Detail: "that of " + other + " too: this one has an id of its own, which its file's name is part of"})
	return d, r, nil
}

// printReports writes the verdicts of several dashboards first, one a line.
func printReports(w io.Writer, reports []grafana.Report) (err error) {
	if len(reports) > 1 {
		for _, r := range reports {
			_, e := fmt.Fprintln(w, r.Line())
			err = errors.Join(err, e)
		}
		_, e := fmt.Fprintln(w)
		err = errors.Join(err, e)
	}
	for _, r := range reports {
		err = errors.Join(err, r.Print(w))
	}
	return err
}
