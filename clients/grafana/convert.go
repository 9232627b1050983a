package grafana

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"pulseboard/clients/dashcode"
	"pulseboard/configsvc"
)

// Limits of our documents that the texts of Grafana are fitted to.
const (
	maxFile      = 16 << 20
	maxTitle     = 200
	maxLabel     = 100
	maxName      = 64
	maxTags      = 20
	maxVariables = 16
	maxWidgets   = 200
	oldestSchema = 16
)

// conversion is one dashboard on its way.
type conversion struct {
	options   Options
	variables map[string]*variable
	inputs    map[string]string // Types of the data sources that an export names.
	timeRange int
	refresh   *float64 // Seconds; nil = as the service likes.
	report    *Report

	widgets []configsvc.WidgetInput
	boxes   []*box
}

// Convert reads the JSON of a dashboard of Grafana, also in the form of its
// HTTP API. An error says that it is none; what it holds and we do not is in
// the report.
func Convert(file string, input []byte, options Options) (configsvc.Dashboard, Report, error) {
	r := Report{File: file, Panels: []*Panel{}, Other: []Item{}}
	root, err := read(input)
	if err != nil {
		return configsvc.Dashboard{}, r, fmt.Errorf("cannot import %s: %w", file, err)
	}
	c := &conversion{
		options: options, report: &r, variables: readVariables(root.object("templating")),
		timeRange: rangeSeconds(root.object("time")), inputs: make(map[string]string),
	}
	for _, i := range root.objects("__inputs") {
		c.inputs[i.text("name")] = i.text("pluginId")
	}
	r.DashboardID = dashcode.DeriveID("grafana:" + cmp.Or(root.text("uid"), root.text("title"), filepath.Base(file)))
	r.Title = cmp.Or(clean(root.text("title"), maxTitle), clean(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), maxTitle))
	tags := c.tags(root)
	c.setRefresh(root)
	c.panels(root)
	arrange(c.boxes)
	for i, b := range c.boxes {
		c.widgets[i].Display.Position = &configsvc.PositionInput{X: &b.x, Y: &b.y, W: &b.w, H: &b.h}
	}
	variables := c.chosenVariables()
	r.Widgets = len(c.widgets)
	c.others(root)
	d, err := check(configsvc.DashboardInput{ID: &r.DashboardID, Title: &r.Title, Tags: &tags, Variables: &variables, Widgets: &c.widgets}, options)
	if err != nil {
		return d, r, fmt.Errorf("cannot import %s: %w", file, err)
	}
	return d, r, nil
}

// read finds the dashboard and refuses what is another thing.
func read(input []byte) (object, error) {
	if len(input) > maxFile {
		return nil, fmt.Errorf("the file has %d bytes: at most %d", len(input), maxFile)
	}
	var root object
	if err := json.Unmarshal(bytes.TrimPrefix(input, []byte("\xef\xbb\xbf")), &root); err != nil {
		return nil, fmt.Errorf("it is no JSON object: %w", err)
	}
	if inner := root.object("dashboard"); inner != nil {
		root = inner
	}
	version, hasVersion := root.number("schemaVersion")
	switch {
	case root.object("spec") != nil && root["apiVersion"] != nil:
		return nil, errors.New("it is a Kubernetes-style resource of Grafana: export the dashboard as classic JSON")
	case root.list("panels") == nil && root.list("rows") == nil && !hasVersion:
		return nil, errors.New("it has no panels: is it a dashboard of Grafana?")
	case root.list("rows") != nil || hasVersion && version < oldestSchema:
		return nil, fmt.Errorf("its schema version is %v: at least %d (Grafana 5); open and save it in a newer Grafana, then export it again", root["schemaVersion"], oldestSchema)
	}
	return root, nil
}

// check brings the document through the rules of the service, which fill in
// the defaults; that they find a fault would be a mistake of this package.
func check(doc configsvc.DashboardInput, o Options) (configsvc.Dashboard, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return configsvc.Dashboard{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return configsvc.Dashboard{}, err
	}
	d, faults, _ := configsvc.Rules{SliceMs: o.SliceMs, MaxWindowSeconds: o.MaxWindow}.Check(v)
	if len(faults) > 0 {
		return d, fmt.Errorf("what was made of it breaks a rule, which is a mistake of the importer: %s: %s", faults[0].Pointer, faults[0].Detail)
	}
	dashcode.NameWidgets(&d)
	return d, nil
}

func (c *conversion) other(kind, name string, o Outcome, format string, args ...any) {
	c.report.Other = append(c.report.Other, Item{Kind: kind, Name: clean(name, maxTitle), Outcome: o, Detail: fmt.Sprintf(format, args...)})
}

func (c *conversion) tags(root object) []string {
	tags := []string{}
	for _, t := range root.list("tags") {
		s, _ := t.(string)
		s = clean(s, maxName)
		switch {
		case s == "" || slices.Contains(tags, s):
		case len(tags) == maxTags:
			c.other("tag", s, NotMapped, "a dashboard has at most %d tags", maxTags)
		default:
			tags = append(tags, s)
		}
	}
	return tags
}

// setRefresh rounds up to a multiple of the slice.
func (c *conversion) setRefresh(root object) {
	text := root.text("refresh")
	if text == "" || text == "auto" || !isDuration(text) {
		return
	}
	const most = 3600
	slice := max(c.options.SliceMs, 1)
	ms := int64(min(durationSeconds(text), most)) * 1000
	ms = max((ms+slice-1)/slice, 1) * slice
	for ms > most*1000 {
		ms -= slice
	}
	c.refresh = new(float64(ms) / 1000)
	if durationSeconds(text) > most {
		c.other("setting", "refresh "+text, WithNotes, "at most every hour")
	}
}

// panels goes through rows and panels from top to bottom. The panels of a
// collapsed row take their room below its title.
func (c *conversion) panels(root object) {
	below := 0
	list := root.objects("panels")
	slices.SortStableFunc(list, func(a, b object) int { return top(a) - top(b) })
	for _, p := range list {
		if p.text("type") != "row" {
			c.panel(p, below)
			continue
		}
		if title := p.text("title"); title != "" {
			c.other("row", title, WithNotes, "its panels are kept, in place; there are no titles of rows")
		}
		if r := p.text("repeat"); r != "" {
			c.other("row", p.text("title"), WithNotes, "repeated for each value of $%s: its panels are there once", r)
		}
		inner := p.objects("panels")
		if len(inner) == 0 {
			continue
		}
		first, last := maxRow, 0
		for _, q := range inner {
			first, last = min(first, top(q)), max(last, top(q)+q.object("gridPos").whole("h", 1, 2*maxHeight, 8))
		}
		shift := top(p) + 1 + below - first
		for _, q := range inner {
			c.panel(q, shift)
		}
		below += last - first
	}
}

func top(p object) int { return p.object("gridPos").whole("y", 0, maxRow, 0) }

func (c *conversion) panel(p object, below int) {
	out := &Panel{ID: p.whole("id", 0, math.MaxInt32, 0), Title: clean(p.text("title"), maxTitle), Type: clean(p.text("type"), maxName)}
	c.report.Panels = append(c.report.Panels, out)
	defer out.settle()
	chart, ok := chartOf(p)
	targets := p.objects("targets")
	switch {
	case p["libraryPanel"] != nil && len(targets) == 0:
		out.Reason = "a library panel, whose queries are not in this file: unlink it in Grafana, then export again"
		return
	case out.Type == "text":
		out.Reason = "a text: widgets show metrics"
		return
	case !ok:
		out.Reason = fmt.Sprintf("there is no counterpart of panels of type %q", out.Type)
		return
	case c.foreign(p["datasource"]) != "":
		out.Reason = fmt.Sprintf("its data source is %s: only queries of Prometheus can be read", c.foreign(p["datasource"]))
		return
	}
	c.panelNotes(p, out)
	d := readDisplay(p, chart)
	out.Notes = append(out.Notes, d.notes...)
	at := len(c.widgets)
	for i, t := range targets {
		c.target(p, t, i, d, out)
	}
	made := c.widgets[at:]
	if len(made) == 1 && strings.HasSuffix(*made[0].Display.Title, ": "+out.shown()) {
		made[0].Display.Title = &out.Title
	}
	if len(made) > 1 {
		out.Notes = append(out.Notes, fmt.Sprintf("its %d queries are %d widgets, in its place: a widget has one query", len(made), len(made)))
	}
	for _, b := range boxOf(p, below).split(len(made)) {
		if len(c.boxes) < len(c.widgets) {
			c.boxes = append(c.boxes, &b)
		}
	}
}

// foreign names a data source that is not Prometheus; "" = it is, or it is not named.
func (c *conversion) foreign(source any) string {
	kind := ""
	switch s := source.(type) {
	case string:
		kind = s
	case map[string]any:
		o := object(s)
		kind = cmp.Or(o.text("type"), o.text("uid"))
	}
	name := strings.Trim(kind, "${}")
	if plugin, ok := c.inputs[name]; ok {
		kind = plugin
	}
	if v := c.variables[name]; v != nil && v.kind == "datasource" {
		return ""
	}
	lower := strings.ToLower(kind)
	for _, k := range []string{
		"loki", "elasticsearch", "opensearch", "influxdb", "graphite", "mysql", "postgres", "mssql", "cloudwatch", "stackdriver", "azure",
		"tempo", "jaeger", "zipkin", "opentsdb", "testdata", "-- grafana --", "-- dashboard --", "-- mixed --", "clickhouse", "datadog", "pyroscope", "infinity", "json",
	} {
		if k == "-- mixed --" && lower == k {
			return "" // Each query names its own.
		}
		if strings.Contains(lower, k) {
			return clean(kind, maxName)
		}
	}
	return ""
}

// panelNotes notes what a panel has besides queries.
func (c *conversion) panelNotes(p object, out *Panel) {
	note := func(format string, args ...any) { out.Notes = append(out.Notes, fmt.Sprintf(format, args...)) }
	if p.text("description") != "" {
		note("its description is left out")
	}
	if n := len(p.list("links")); n > 0 {
		note("%d links are left out", n)
	}
	if p["alert"] != nil {
		c.other("alert", out.Title, NotMapped, "thresholds colour values, they do not notify")
	}
	if r := p.text("repeat"); r != "" {
		note("repeated for each value of $%s: it is there once", r)
	}
	var kinds []string
	for _, t := range p.objects("transformations") {
		kinds = append(kinds, t.text("id"))
	}
	if len(kinds) > 0 {
		note("transformations are left out: %s", clean(strings.Join(kinds, ", "), maxTitle))
	}
	if s := p.text("timeFrom"); s != "" {
		note("its own time range %s is left out", clean(s, maxName))
	}
	if strings.Contains(out.Title, "$") || strings.Contains(out.Title, "[[") {
		note("its title names a variable, which is not filled in")
	}
}

func (c *conversion) target(p, t object, i int, d *display, out *Panel) {
	report := Target{RefID: cmp.Or(clean(t.text("refId"), maxName), fmt.Sprint(i+1)), Expr: t.text("expr"), Outcome: NotMapped}
	defer func() { out.Targets = append(out.Targets, report) }()
	foreign := c.foreign(t["datasource"])
	switch {
	case t.yes("hide"):
		report.Outcome, report.Reason = Left, "it is hidden in Grafana"
		return
	case foreign != "":
		report.Reason = fmt.Sprintf("its data source is %s: only queries of Prometheus can be read", foreign)
		return
	case report.Expr == "":
		report.Reason = "it has no PromQL in expr"
		return
	case p.text("timeShift") != "":
		report.Reason = "time shift: windows end now, not in the past"
		return
	case len(c.widgets) == maxWidgets:
		report.Reason = fmt.Sprintf("a dashboard has at most %d widgets", maxWidgets)
		return
	}
	q := translation{options: c.options, variables: c.variables, timeRange: c.timeRange, legend: t.text("legendFormat"), minInterval: c.interval(p, t), heatmap: d.chart == "heatmap"}
	made, err := q.translate(report.Expr)
	if err != nil {
		report.Reason = clean(err.Error(), 500)
		return
	}
	if made.query.Aggregation.IsDistribution() {
		d = d.ofDistribution(p)
	}
	w := c.widget(made, d, &q)
	w.Display.Title = new(targetTitle(out.Title, q.legend, report.RefID, len(p.objects("targets")) > 1))
	if !fits(w.Display) {
		report.Reason = "its bounds or thresholds are numbers too large to convert"
		return
	}
	c.widgets = append(c.widgets, w)
	report.MetricKey, report.Notes, report.Outcome = made.query.Key(), q.notes, Mapped
	if len(q.notes) > 0 {
		report.Outcome = WithNotes
	}
}

// interval is the least step that the panel or the query asks for.
func (c *conversion) interval(p, t object) int {
	for _, o := range []object{t, p} {
		text := strings.TrimPrefix(o.text("interval"), ">")
		if v := c.variables[strings.Trim(text, "${}")]; v != nil && strings.HasPrefix(text, "$") {
			text = v.value
		}
		if isDuration(text) {
			return min(max(durationSeconds(text), 1), c.options.MaxWindow)
		}
	}
	return 0
}

func (c *conversion) widget(q translated, d *display, t *translation) configsvc.WidgetInput {
	unit, note := d.unitOf(q)
	if note != "" {
		t.note("%s", note)
	}
	axis := configsvc.YAxisInput{Label: new(clean(d.label, maxLabel))}
	if d.log {
		axis.Scale = new("log")
	}
	if d.min != nil {
		axis.Min = new(scale(*d.min, q))
	}
	if d.max != nil {
		axis.Max = new(scale(*d.max, q))
	}
	thresholds := slices.Clone(d.thresholds)
	for i := range thresholds {
		thresholds[i].At = scale(thresholds[i].At, q)
	}
	return configsvc.WidgetInput{
		Metric: q.query.Metric, Aggregation: q.query.Aggregation, WindowSeconds: q.query.WindowSeconds, DelaySeconds: &q.query.DelaySeconds, RefreshSeconds: c.refresh,
		Filter: &q.query.Filter, GroupBy: &q.query.GroupBy,
		Display: &configsvc.DisplayInput{Chart: &d.chart, Unit: &unit, YAxis: &axis, Thresholds: &thresholds},
	}
}

// fits reports whether all numbers are still some after their conversion.
func fits(d *configsvc.DisplayInput) bool {
	ok := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
	low, high := d.YAxis.Min, d.YAxis.Max
	if low != nil && !ok(*low) || high != nil && !ok(*high) || low != nil && high != nil && *low >= *high ||
		d.YAxis.Scale != nil && (low != nil && *low <= 0 || high != nil && *high <= 0) {
		return false
	}
	return !slices.ContainsFunc(*d.Thresholds, func(t configsvc.Threshold) bool { return !ok(t.At) })
}

// targetTitle distinguishes the widgets of one panel by their legends.
func targetTitle(panel, legend, ref string, several bool) string {
	if !several {
		return panel
	}
	if legend = clean(legend, maxTitle); legend == "" || legend == "__auto" || legendLabel.MatchString(legend) {
		legend = ref
	}
	return clean(strings.TrimPrefix(panel+": "+legend, ": "), maxTitle)
}

// chosenVariables are those that choose among the series of a widget.
func (c *conversion) chosenVariables() []configsvc.Variable {
	out := []configsvc.Variable{}
	for _, name := range slices.Sorted(maps.Keys(c.variables)) {
		v := c.variables[name]
		tag := v.tag
		used := slices.ContainsFunc(c.widgets, func(w configsvc.WidgetInput) bool { return slices.Contains(*w.GroupBy, tag) })
		switch {
		case v.kind == "datasource":
			c.other("variable", name, WithNotes, "there is one source of data")
		case !v.listed && (v.kind == "constant" || v.kind == "textbox" || v.kind == "interval" || v.kind == "custom"):
			c.other("variable", name, WithNotes, "it was replaced by its value %q where it stood", clean(v.value, maxName))
		case !v.listed:
			c.other("variable", name, NotMapped, "variables of type %s have no counterpart", clean(v.kind, maxName))
		case tag == "" || !used:
			c.other("variable", name, NotMapped, "no query that could be mapped uses it")
		case len(name) > maxName:
			c.other("variable", name, NotMapped, "its name has %d bytes: at most %d", len(name), maxName)
		case len(out) == maxVariables:
			c.other("variable", name, NotMapped, "a dashboard has at most %d variables", maxVariables)
		default:
			out = append(out, configsvc.Variable{Name: name, Tag: tag})
			c.other("variable", name, Mapped, "it chooses among the series by the tag %s", tag)
		}
	}
	return out
}

// others reports what a dashboard has besides panels.
func (c *conversion) others(root object) {
	if root.text("description") != "" {
		c.other("description", root.text("description"), WithNotes, "dashboards have none")
	}
	for _, a := range root.object("annotations").objects("list") {
		if a["builtIn"] != nil && a.whole("builtIn", 0, 1, 0) == 1 {
			continue // Grafana's own, in every dashboard.
		}
		c.other("annotation", a.text("name"), NotMapped, "charts have no annotations")
	}
	for _, l := range root.objects("links") {
		c.other("link", cmp.Or(l.text("title"), l.text("url")), NotMapped, "dashboards have no links")
	}
}
