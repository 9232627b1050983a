package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"pulseboard/clients/dashcode"
	"pulseboard/configsvc"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

const dashboardsUsage = `Usage: pulseboard dashboards <command> [flags] FILES…

Dashboards as files: YAML or JSON, one dashboard a document, folders with all
their .yaml, .yml and .json files.

Commands:
  validate        check files, without a service
  diff            say what apply would change
  apply           bring the config service in line with files
  export          write the dashboards of the config service as files
  import-grafana  make files of Grafana's dashboards, and say what could not be kept

"pulseboard dashboards <command> --help" lists flags and exit codes.
`

// The exit codes that scripts rely on: 0 is well, differs is the one that a
// command is asked about, and trouble means that it could not say.
const (
	exitDiffers = 1
	exitTrouble = 2
)

func trouble(err error) error { return &service.Exit{Code: exitTrouble, Err: err} }

// dashboards runs the commands for dashboards as files.
func dashboards(ctx context.Context, env service.Env) error {
	name := ""
	if len(env.Args) > 0 {
		name, env.Args = env.Args[0], env.Args[1:]
	}
	var run func(context.Context, service.Env) error
	switch name {
	case "validate":
		run = validateDashboards
	case "diff":
		run = diffDashboards
	case "apply":
		run = applyDashboards
	case "export":
		run = exportDashboards
	case "import-grafana":
		run = importGrafana
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(env.Stdout, dashboardsUsage)
		return err
	default:
		return trouble(fmt.Errorf("unknown command %q: use validate, diff, apply, export or import-grafana (see pulseboard dashboards help)", strings.TrimSpace("dashboards "+name)))
	}
	err := run(ctx, env)
	var exit *service.Exit
	if err == nil || errors.Is(err, conf.ErrHelp) || errors.As(err, &exit) {
		return err
	}
	return trouble(err)
}

// dashboardFlags are the flags that the commands share, each as far as it asks for them.
type dashboardFlags struct {
	*conf.Flags

	slice     time.Duration
	maxWindow int
	output    string
	server    string
	alone     bool // It works without a server.
	token     conf.Secret
}

func (f *dashboardFlags) rulesFlags() {
	f.DurationVar(&f.slice, "slice", time.Second, "the pipeline's slice, the `duration` that refresh intervals are multiples of; as the service's")
	f.IntVar(&f.maxWindow, "max-window", 3600, "longest window of a widget in `seconds`; as the service's")
}

func (f *dashboardFlags) outputFlag() {
	f.StringVar(&f.output, "output", "text", "`form` of what is said: text, or json on standard output")
}

func (f *dashboardFlags) serverFlags() {
	f.StringVar(&f.server, "server", "", "`URL` of the config service, such as http://127.0.0.1:8080")
	f.Secret(&f.token, "token", "a token for the config service")
}

// parse reads flags and files; withFiles says that there must be some.
func (f *dashboardFlags) parse(env service.Env, withFiles bool) ([]string, error) {
	files, err := f.ParseArgs(env.Args, env.Getenv, env.Stdout)
	switch {
	case err != nil:
		return nil, err
	case withFiles && len(files) == 0:
		return nil, fmt.Errorf("no files given: name files or folders (see %s --help)", f.Name())
	case !withFiles && len(files) > 0:
		return nil, fmt.Errorf("unexpected argument %q (see %s --help)", files[0], f.Name())
	case f.Lookup("slice") != nil && (f.slice <= 0 || f.slice%time.Millisecond != 0):
		return nil, fmt.Errorf("--slice is %v: it must be whole milliseconds above 0, such as 250ms or 1s", f.slice)
	case f.Lookup("max-window") != nil && f.maxWindow < 1:
		return nil, fmt.Errorf("--max-window is %d: it must be at least 1", f.maxWindow)
	case f.Lookup("output") != nil && f.output != "text" && f.output != "json":
		return nil, fmt.Errorf("--output is %q: it must be text or json", f.output)
	case f.Lookup("server") != nil && f.server == "" && !f.alone:
		return nil, fmt.Errorf("no config service given: pass its URL with --server, or in PULSEBOARD_SERVER (see %s --help)", f.Name())
	}
	return files, nil
}

func (f *dashboardFlags) rules() configsvc.Rules {
	return configsvc.Rules{SliceMs: f.slice.Milliseconds(), MaxWindowSeconds: f.maxWindow}
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// plural is "1 fault" or "2 faults".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func printFaults(w io.Writer, set dashcode.Set) {
	for _, f := range set.Warnings {
		_, _ = fmt.Fprintf(w, "%s (warning)\n", f)
	}
	for _, f := range set.Faults {
		_, _ = fmt.Fprintln(w, f)
	}
}

const aboutValidate = `
pulseboard dashboards validate checks dashboard files by the rules of the config
service, without one, and tells all faults with file, line and column. Fields
that it does not know are faults.

  pulseboard dashboards validate dashboards/
  pulseboard dashboards validate --slice 250ms --output json web.yaml api.json

Exit codes: 0 no fault, 1 faults, 2 the files could not be read or the command is wrong.`

// validation is the JSON form of what validate says.
type validation struct {
	OK       bool             `json:"ok"`
	Files    int              `json:"files"`
	Cost     dashcode.Cost    `json:"cost"` // Of the dashboards without faults.
	Faults   []dashcode.Fault `json:"faults"`
	Warnings []dashcode.Fault `json:"warnings"`
}

func validateDashboards(_ context.Context, env service.Env) error {
	f := dashboardFlags{Flags: conf.New("pulseboard dashboards validate", aboutValidate)}
	f.rulesFlags()
	f.outputFlag()
	files, err := f.parse(env, true)
	if err != nil {
		return err
	}
	set, err := dashcode.Load(files, f.rules())
	if err != nil {
		return err
	}
	v := validation{
		OK: len(set.Faults) == 0, Files: set.Files, Cost: set.Cost(f.slice.Milliseconds()),
		Faults: append([]dashcode.Fault{}, set.Faults...), Warnings: append([]dashcode.Fault{}, set.Warnings...),
	}
	if f.output == "json" {
		err = printJSON(env.Stdout, v)
	} else {
		printFaults(env.Stderr, set)
		_, err = fmt.Fprintf(env.Stderr, "%s in %s. %s with %s: %s of %s, %s in their longest windows.\n",
			plural(len(set.Faults), "fault"), plural(set.Files, "file"), plural(v.Cost.Dashboards, "good dashboard"), plural(v.Cost.Widgets, "widget"),
			plural(v.Cost.MetricKeys, "metric key"), plural(v.Cost.Selectors, "selector"), plural(int(v.Cost.Slices), "slice"))
	}
	if err == nil && !v.OK {
		err = &service.Exit{Code: exitDiffers}
	}
	return err
}

// loadGood reads files for commands that speak to the service, which begin
// only when every file is without fault.
func (f *dashboardFlags) loadGood(env service.Env, files []string) (dashcode.Set, *dashcode.Client, error) {
	client, err := dashcode.NewClient(f.server, f.token.Text.Reveal())
	if err != nil {
		return dashcode.Set{}, nil, err
	}
	// What depends on the pipeline the service itself says.
	set, err := dashcode.Load(files, configsvc.Rules{SliceMs: 1})
	if err != nil {
		return set, nil, err
	}
	printFaults(env.Stderr, set)
	if n := len(set.Faults); n > 0 {
		return set, nil, fmt.Errorf("%s in the files: nothing was asked or changed; correct them first", plural(n, "fault"))
	}
	return set, client, nil
}

// printResult says what is to be done with a dashboard, or was done.
func printResult(w io.Writer, r dashcode.Result, words map[dashcode.Action]string) {
	word, known := words[r.Action]
	if !known {
		return
	}
	_, _ = fmt.Fprintf(w, "%s %s (%s)", word, r.Title, r.DashboardID)
	if r.File != "" {
		_, _ = fmt.Fprintf(w, " of %s", r.File)
	}
	if r.Version > 0 {
		_, _ = fmt.Fprintf(w, ", version %d", r.Version)
	}
	if r.Action == dashcode.Create || r.Action == dashcode.Delete {
		_, _ = fmt.Fprintf(w, ", %s", plural(r.Widgets, "widget"))
	}
	_, _ = fmt.Fprintln(w)
	if r.Overtaken > 0 {
		_, _ = fmt.Fprintf(w, "    changed by someone else meanwhile (%s): read and compared again\n", plural(r.Overtaken, "time"))
	}
	if r.Error != "" {
		_, _ = fmt.Fprintf(w, "    %s\n", r.Error)
	}
	for _, f := range r.Faults {
		_, _ = fmt.Fprintf(w, "    %s\n", f)
	}
	for _, f := range r.Warnings {
		_, _ = fmt.Fprintf(w, "    %s (warning of the service)\n", f)
	}
	for _, ch := range r.Changes {
		_, _ = fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(ch.String(), "\n", "\n    "))
	}
}

func count(results []dashcode.Result) map[dashcode.Action]int {
	n := make(map[dashcode.Action]int)
	for _, r := range results {
		n[r.Action]++
	}
	return n
}

// report is the JSON form of what diff and apply say.
type report struct {
	DryRun     bool                    `json:"dry_run,omitempty"`
	Dashboards []dashcode.Result       `json:"dashboards"`
	Count      map[dashcode.Action]int `json:"count"`
}

const aboutDiff = `
pulseboard dashboards diff compares dashboard files with the config service and
says for each dashboard what apply would do, field by field: - is there, + is in
the file. The service judges the files by its own slice and longest window. Widgets go by their title. Both sides are compared with all defaults
filled in, so that leaving a default out is no difference.

  pulseboard dashboards diff --server http://127.0.0.1:8080 dashboards/

Exit codes: 0 no difference, 1 differences, 2 it could not be compared.`

func diffDashboards(ctx context.Context, env service.Env) error {
	f := dashboardFlags{Flags: conf.New("pulseboard dashboards diff", aboutDiff)}
	f.serverFlags()
	f.outputFlag()
	files, err := f.parse(env, true)
	if err != nil {
		return err
	}
	set, client, err := f.loadGood(env, files)
	if err != nil {
		return err
	}
	out := report{Dashboards: []dashcode.Result{}}
	for _, i := range set.Items {
		r, err := client.Diff(ctx, i)
		if err != nil {
			return err
		}
		out.Dashboards = append(out.Dashboards, r)
	}
	out.Count = count(out.Dashboards)
	if f.output == "json" {
		err = printJSON(env.Stdout, out)
	} else {
		for _, r := range out.Dashboards {
			printResult(env.Stdout, r, map[dashcode.Action]string{dashcode.Create: "+ create", dashcode.Update: "~ change", dashcode.Failed: "! refused"})
		}
		_, err = fmt.Fprintf(env.Stderr, "%d to create, %d to change, %d unchanged.\n", out.Count[dashcode.Create], out.Count[dashcode.Update], out.Count[dashcode.Unchanged])
	}
	if n := out.Count[dashcode.Failed]; err == nil && n > 0 {
		return trouble(fmt.Errorf("the config service would refuse %s", plural(n, "dashboard")))
	}
	if err == nil && out.Count[dashcode.Unchanged] < len(out.Dashboards) {
		err = &service.Exit{Code: exitDiffers}
	}
	return err
}

const aboutApply = `
pulseboard dashboards apply brings the config service in line with dashboard
files. It begins when all files are without fault. What is equal is left alone
and gets no new version. A change is written over the version that it was
compared with: when someone else was faster, it reads and compares again, and
tells all that it replaced.

  pulseboard dashboards apply --server http://127.0.0.1:8080 --dry-run dashboards/
  PULSEBOARD_TOKEN=… pulseboard dashboards apply --server https://board.example.org dashboards/

--prune-tag also deletes the dashboards with that tag that are in none of the
files, after everything else went well. --dry-run lists them first.

Exit codes: 0 done, 1 some dashboards failed, 2 nothing was tried: faults in the
files, or the command is wrong.`

func applyDashboards(ctx context.Context, env service.Env) error {
	f := dashboardFlags{Flags: conf.New("pulseboard dashboards apply", aboutApply)}
	f.serverFlags()
	f.outputFlag()
	dry := f.Bool("dry-run", false, "say what would be done, and do nothing")
	prune := f.String("prune-tag", "", "`tag` of the dashboards to delete when they are in none of the files")
	files, err := f.parse(env, true)
	if err != nil {
		return err
	}
	set, client, err := f.loadGood(env, files)
	if err != nil {
		return err
	}
	out := report{DryRun: *dry}
	if *dry {
		out.Dashboards, err = planApply(ctx, client, set, *prune)
		if err != nil {
			return err
		}
	} else {
		out.Dashboards = runApply(ctx, client, set, *prune)
	}
	out.Count = count(out.Dashboards)
	words := map[dashcode.Action]string{dashcode.Create: "created", dashcode.Update: "changed", dashcode.Delete: "deleted", dashcode.Failed: "FAILED"}
	would := ""
	if *dry {
		words = map[dashcode.Action]string{dashcode.Create: "+ create", dashcode.Update: "~ change", dashcode.Delete: "- delete"}
		would = "Nothing was done. Would be: "
	}
	if f.output == "json" {
		err = printJSON(env.Stdout, out)
	} else {
		for _, r := range out.Dashboards {
			printResult(env.Stdout, r, words)
		}
		_, err = fmt.Fprintf(env.Stderr, "%s%d created, %d changed, %d deleted, %d unchanged, %d failed.\n", would,
			out.Count[dashcode.Create], out.Count[dashcode.Update], out.Count[dashcode.Delete], out.Count[dashcode.Unchanged], out.Count[dashcode.Failed])
	}
	if err == nil && out.Count[dashcode.Failed] > 0 {
		err = &service.Exit{Code: exitDiffers}
	}
	return err
}

// planApply lists what would be deleted first: it is what cannot be brought back by another file.
func planApply(ctx context.Context, client *dashcode.Client, set dashcode.Set, prune string) ([]dashcode.Result, error) {
	results := []dashcode.Result{}
	if prune != "" {
		stray, err := client.Stray(ctx, prune, set.Items)
		if err != nil {
			return nil, err
		}
		results = append(results, stray...)
	}
	for _, i := range set.Items {
		r, err := client.Diff(ctx, i)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

func runApply(ctx context.Context, client *dashcode.Client, set dashcode.Set, prune string) []dashcode.Result {
	results := []dashcode.Result{}
	lost := false
	for _, i := range set.Items {
		if lost {
			results = append(results, dashcode.NotTried(i))
			continue
		}
		r := client.Apply(ctx, i)
		results, lost = append(results, r), r.Lost
	}
	if prune == "" {
		return results
	}
	failed := func(err error) []dashcode.Result {
		return append(results, dashcode.Result{Action: dashcode.Failed, Title: "dashboards with tag " + prune, Error: err.Error()})
	}
	if count(results)[dashcode.Failed] > 0 {
		return failed(errors.New("nothing was deleted, since not all files could be applied"))
	}
	stray, err := client.Stray(ctx, prune, set.Items)
	if err != nil {
		return failed(err)
	}
	for _, r := range stray {
		results = append(results, client.Prune(ctx, prune, r))
	}
	return results
}
