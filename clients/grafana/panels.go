package grafana

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"pulseboard/configsvc"
)

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
			c.other("row", title, Left, "its panels are kept, in place; there are no titles of rows")
		}
		if r := p.text("repeat"); r != "" {
			c.other("row", p.text("title"), Left, "repeated for each value of $%s: its panels are there once", r)
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
		c.other("alert", out.Title, Lost, "thresholds colour values, they do not notify")
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
	report := Target{RefID: cmp.Or(clean(t.text("refId"), maxName), fmt.Sprint(i+1)), Expr: t.text("expr"), Outcome: Lost}
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
	q := c.translation(p, t)
	q.heatmap = d.chart == "heatmap"
	made, err := q.translate(report.Expr)
	if err != nil {
		report.Reason = clean(err.Error(), 500)
		return
	}
	if made.query.Aggregation.IsDistribution() {
		d = d.ofDistribution(p)
	}
	w := c.widget(made, d, q)
	w.Display.Title = new(targetTitle(out.Title, q.legend, report.RefID, len(p.objects("targets")) > 1))
	if !fits(w.Display) {
		report.Reason = "its bounds or thresholds are numbers too large to convert"
		return
	}
	c.widgets = append(c.widgets, w)
	report.MetricKey, report.Notes, report.RightIf, report.Outcome = made.query.Key(), q.notes, q.rightIf, Right
	if len(q.rightIf) > 0 {
		report.Outcome = RightIf
	}
	if made.factor != 1 {
		report.Factor = made.factor
	}
}

// translation is that of one query of a panel.
func (c *conversion) translation(p, t object) *translation {
	return &translation{
		options: c.options, variables: c.variables, labels: c.labels, timeRange: c.timeRange, legend: t.text("legendFormat"), minInterval: c.interval(p, t),
	}
}

// learn takes in what all queries, those of variables too, tell of the labels of metrics.
func (c *conversion) learn(root object) {
	list := root.objects("panels")
	for _, p := range list {
		list = append(list, p.objects("panels")...)
	}
	for _, p := range list {
		for _, t := range p.objects("targets") {
			if e, err := c.translation(p, t).parse(t.text("expr")); err == nil {
				c.labels.learn(e, t.text("legendFormat"))
			}
		}
	}
	for _, v := range root.object("templating").objects("list") {
		m := valuesOf.FindStringSubmatch(cmp.Or(v.text("query"), v.object("query").text("query")))
		if m == nil {
			continue
		}
		if e, err := c.translation(nil, nil).parse(m[1]); err == nil {
			c.labels.learn(e, "{{"+m[2]+"}}")
		}
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
	if d.unit == "" && q.factor == 1 {
		unit = q.query.UnitOf(c.options.Units[q.query.Metric])
	}
	switch {
	case note != "":
		t.note("%s", note)
	case q.factor != 1:
		t.needs("it is read times %s: the factor and the unit are left out, thresholds and bounds were converted", strconv.FormatFloat(q.factor, 'g', 6, 64))
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
	var limit *int
	if q.top > 0 {
		limit = &q.top
	}
	thresholds := slices.Clone(d.thresholds)
	for i := range thresholds {
		thresholds[i].At = scale(thresholds[i].At, q)
	}
	return configsvc.WidgetInput{
		Metric: q.query.Metric, Aggregation: q.query.Aggregation, WindowSeconds: q.query.WindowSeconds, DelaySeconds: &q.query.DelaySeconds, RefreshSeconds: c.refresh,
		Filter: &q.query.Filter, GroupBy: &q.query.GroupBy,
		Display: &configsvc.DisplayInput{Chart: &d.chart, Unit: &unit, YAxis: &axis, Thresholds: &thresholds, Limit: limit},
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
