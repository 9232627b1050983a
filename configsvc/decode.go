package configsvc

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"

	"pulseboard/charts"
	"pulseboard/internal/service"
	"pulseboard/metric"
)

// Rules are the rules of documents, as far as they depend on the pipeline.
type Rules struct {
	SliceMs          int64 // The pipeline's slice in milliseconds: refresh intervals are multiples of it. 0 = 1000.
	MaxWindowSeconds int   // The longest window that the pipeline serves. 0 = 86,400.
}

func (r Rules) withDefaults() Rules {
	return Rules{cmp.Or(r.SliceMs, 1000), cmp.Or(r.MaxWindowSeconds, metric.MaxWindowSeconds)}
}

// Fault is a rule that a document breaks; its pointer leads into the document.
type Fault = service.ProblemError

// Code of a fault that only Check finds; the service answers 413.
const codeTooLarge = "too_large"

// Check reads a document as POST /dashboards does, with one difference: an
// unknown field is a fault, not a warning. Numbers in doc are of
// type json.Number. The dashboard has all defaults filled in; ids that the
// document does not bring are random. With faults it is incomplete.
func (r Rules) Check(doc any) (Dashboard, []Fault, []Warning) {
	f := faults{strict: true}
	d := r.withDefaults().dashboard(doc, "", &f)
	if b, err := json.Marshal(d); err == nil && len(b) > maxDocument {
		f.add("", codeTooLarge, "the document has %d bytes with all defaults: at most %d; split the dashboard", len(b), maxDocument)
	}
	return d, f.errors, f.warnings
}

// parseID returns the canonical form of a UUID in its usual form of 36 characters.
func parseID(s string) (string, bool) {
	if len(s) != 36 {
		return "", false
	}
	u, err := uuid.Parse(s)
	return u.String(), err == nil
}

// dashboard reads a document. id is what it must have, "" when it may bring
// its own. Absent values get their defaults; ids and positions are made.
func (r Rules) dashboard(doc any, id string, f *faults) Dashboard {
	o, ok := asObject(doc, "", f)
	if !ok {
		return Dashboard{}
	}
	d := Dashboard{ID: o.id("dashboard_id", id), Title: o.text("title", maxTitle, defaultTitle)}
	d.Tags = o.stringList("tags", maxTags, func(at, s string) {
		if s == "" {
			f.add(at, codeInvalid, "a tag must not be empty")
		}
		checkText(f, at, "tag", s, maxTag)
	})
	d.Variables = variables(o)
	d.Widgets = []Widget{}
	for i, v := range o.list("widgets", maxWidgets) {
		at := underIndex(o.pointer("widgets"), i)
		if w, ok := r.widget(v, at, "", d.ID, f); ok {
			d.Widgets = append(d.Widgets, w)
			noteTwice(d.Widgets, at, f)
		}
	}
	o.ignore("version", "warnings")
	o.warnUnknown()
	place(d.Widgets)
	return d
}

// id reads a UUID, which must be want unless want is "", and makes one when it is absent.
func (o object) id(name, want string) string {
	s, ok := o.stringMember(name)
	if !ok {
		if want != "" {
			return want
		}
		return uuid.NewString()
	}
	id, ok := parseID(s)
	switch {
	case !ok:
		o.faults.add(o.pointer(name), codeInvalid, "%s %.60q is no UUID such as %q; leave it out to get one", name, s, exampleID)
	case want != "" && id != want:
		o.faults.add(o.pointer(name), codeImmutable, "%s cannot be changed from %q to %q", name, want, id)
	}
	return id
}

const exampleID = "6f1d8b1e-3c55-4b0e-9a35-0d6f3f2a7c11"

// noteTwice checks that the last widget's id is new.
func noteTwice(widgets []Widget, at string, f *faults) {
	last := widgets[len(widgets)-1].ID
	if slices.ContainsFunc(widgets[:len(widgets)-1], func(w Widget) bool { return w.ID == last }) {
		f.add(under(at, "widget_id"), codeDuplicate, "widget_id %q is in the dashboard twice", last)
	}
}

func variables(o object) []Variable {
	out := []Variable{}
	for i, v := range o.list("variables", maxVariables) {
		at := underIndex(o.pointer("variables"), i)
		e, ok := asObject(v, at, o.faults)
		if !ok {
			continue
		}
		x := Variable{Name: e.text("name", maxName, ""), Tag: e.text("tag", metric.MaxTagKey, "")}
		switch {
		case x.Name == "":
			e.faults.add(e.pointer("name"), codeRequired, "a variable needs a name")
		case slices.ContainsFunc(out, func(y Variable) bool { return y.Name == x.Name }):
			e.faults.add(e.pointer("name"), codeDuplicate, "variable %q is there twice", x.Name)
		}
		if x.Tag == "" { // What else a key must be, any text must.
			e.faults.add(e.pointer("tag"), codeInvalid, "a variable needs the key of a tag")
		}
		e.warnUnknown()
		out = append(out, x)
	}
	return out
}

// widget reads one widget. id is what it must have, "" when it may bring its own.
func (r Rules) widget(v any, at, id, dashboardID string, f *faults) (Widget, bool) {
	o, ok := asObject(v, at, f)
	if !ok {
		return Widget{}, false
	}
	w := Widget{ID: o.id("widget_id", id), DashboardID: dashboardID}
	if s, ok := o.stringMember("dashboard_id"); ok && !strings.EqualFold(s, dashboardID) {
		f.warn(o.pointer("dashboard_id"), "a widget belongs to the dashboard that holds it: dashboard_id is %q", dashboardID)
	}
	o.require("metric_name", "metric_name is missing: the name of the metric to show")
	if w.Metric, ok = o.stringMember("metric_name"); ok {
		o.valid("metric_name", metric.ValidateName(w.Metric))
	}
	o.require("aggregation", "aggregation is missing: %s", metric.AggregationsForPeople())
	if s, ok := o.stringMember("aggregation"); ok {
		w.Aggregation = metric.Aggregation(s)
		o.valid("aggregation", w.Aggregation.Validate())
	}
	o.require("window_seconds", "window_seconds is missing: how many seconds the aggregation covers, 1 to %d", r.MaxWindowSeconds)
	w.WindowSeconds = o.wholeOr("window_seconds", 1, r.MaxWindowSeconds, 0)
	w.RefreshSeconds = r.refresh(o)
	w.DelaySeconds = o.wholeOr("delay_seconds", 0, metric.MaxDelaySeconds, 0)
	if s, ok := o.stringMember("first"); ok {
		w.First = s
		o.valid("first", w.Query().ValidateFirst())
	}
	w.Filter = filter(o)
	w.GroupBy = o.stringList("group_by", metric.MaxGroupBy, func(at, s string) {
		if err := metric.ValidateTagKey(s); err != nil {
			f.add(at, codeInvalid, "%v", err)
		}
	})
	d := o.object("display_config")
	w.Display = display(d)
	if w.Aggregation.IsDistribution() {
		distribution(&w, o, d)
	}
	o.warnUnknown()
	return w, true
}

// distribution checks what a distribution, which is no number, can be asked for and drawn as.
func distribution(w *Widget, o, d object) {
	able := charts.OfDistributions()
	if _, given := d.value("chart"); !given {
		w.Display.Chart = able[0]
	}
	const instead = "or ask for a percentile such as p95 in place of " + string(metric.Histogram)
	if name := w.Display.Chart; slices.Contains(charts.Names(), name) && !slices.Contains(able, name) {
		o.faults.add(d.pointer("chart"), codeInvalid, "chart %q draws numbers, and %s is a distribution: use %s, %s", name, w.Aggregation, strings.Join(able, ", "), instead)
	}
	if len(w.GroupBy) > 0 {
		o.faults.add(o.pointer("group_by"), codeInvalid, "%s is one distribution of all events, so that one chart shows it: leave group_by out and filter for the group to show, %s", w.Aggregation, instead)
	}
	if len(w.Display.Thresholds) > 0 {
		o.faults.add(d.pointer("thresholds"), codeInvalid, "a threshold compares a number, and %s is a distribution: leave thresholds out, %s", w.Aggregation, instead)
	}
}

// refresh reads the refresh interval, which the slice bounds from below.
func (r Rules) refresh(o object) float64 {
	const name = "refresh_interval_seconds"
	otherwise := float64(r.raise(defaultRefreshMs)) / 1000
	x, ok := o.number(name)
	slice := float64(r.SliceMs) / 1000
	ms := math.Round(x * 1000)
	switch at := o.pointer(name); {
	case !ok:
		return otherwise
	case x <= 0:
		o.faults.add(at, codeRange, "%s is %v: it must be above 0, at least the slice of %v s", name, x, slice)
	case ms > maxRefreshMs:
		o.faults.add(at, codeRange, "%s is %v: at most %d", name, x, maxRefreshMs/1000)
	case x < slice:
		o.faults.warn(at, "%s was raised from %v to %v, the slice of the pipeline", name, x, slice)
		return slice
	case math.Abs(ms-x*1000) > 1e-6 || int64(ms)%r.SliceMs != 0:
		lower := float64(int64(x*1000)/r.SliceMs*r.SliceMs) / 1000
		o.faults.add(at, codeInvalid, "%s is %v: it must be a multiple of the slice of %v s, for example %v", name, x, slice, lower)
	default:
		return ms / 1000
	}
	return otherwise
}

// raise returns the refresh interval at which the pipeline serves one of ms:
// the next multiple of the slice.
func (r Rules) raise(ms int64) int64 {
	return max(1, (ms+r.SliceMs-1)/r.SliceMs) * r.SliceMs
}

// filter reads tag by tag, so that each fault names its own.
func filter(o object) metric.Filter {
	in := o.object("filter")
	if len(in.members) > maxFilterTags {
		o.faults.add(in.at, codeTooMany, "filter has %d tags: at most %d", len(in.members), maxFilterTags)
		return nil
	}
	good := make(map[string]any, len(in.members))
	for _, tag := range slices.Sorted(maps.Keys(in.members)) {
		v, ok := in.value(tag)
		if !ok {
			continue
		}
		if n := listLength(v); n > maxFilterValues {
			o.faults.add(in.pointer(tag), codeTooMany, "filter of tag %.70q has %d values: at most %d", tag, n, maxFilterValues)
			continue
		}
		if _, err := toFilter(map[string]any{tag: v}); err != nil {
			o.faults.add(in.pointer(tag), codeInvalid, "%v", err)
			continue
		}
		good[tag] = v
	}
	f, err := toFilter(good)
	if err != nil {
		o.faults.add(in.at, codeInvalid, "%v", err)
	}
	return f
}

// listLength is the number of values in a list or in {"not":[…]}.
func listLength(v any) int {
	longest := 0
	switch v := v.(type) {
	case []any:
		longest = len(v)
	case map[string]any:
		for _, inner := range v {
			longest = max(longest, listLength(inner))
		}
	}
	return longest
}

func toFilter(doc map[string]any) (metric.Filter, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	var f metric.Filter
	err = f.UnmarshalJSON(b)
	return f, err
}

func display(o object) Display {
	d := Display{
		Chart:       o.oneOf("chart", charts.Names(), charts.Names()[0]),
		Title:       o.text("title", maxTitle, ""),
		Unit:        o.text("unit", maxUnit, ""),
		Position:    position(o.object("position")),
		ColorScheme: colorScheme(o),
		YAxis:       yAxis(o.object("y_axis")),
		Thresholds:  thresholds(o),
		Limit:       o.wholeOr("limit", 1, maxSeriesShown, defaultSeriesShown),
	}
	x := o.object("x_axis")
	d.XAxis.Label = x.text("label", maxLabel, "")
	x.warnUnknown()
	o.warnUnknown()
	return d
}

// colorScheme checks the form only: the schemes are defined by the page.
func colorScheme(o object) string {
	s := o.text("color_scheme", maxName, defaultColors)
	if s == "" {
		return defaultColors
	}
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		o.faults.add(o.pointer("color_scheme"), codeInvalid, "color_scheme %.70q must be a name of a-z 0-9 - such as %q", s, defaultColors)
	}
	return s
}

func position(o object) Position {
	p := Position{
		W: o.wholeOr("w", 1, gridColumns, defaultWidth),
		H: o.wholeOr("h", 1, maxHeight, defaultHeight),
	}
	_, hasX := o.value("x")
	_, hasY := o.value("y")
	if p.X, p.Y = o.wholeOr("x", 0, gridColumns-1, 0), o.wholeOr("y", 0, maxRow, 0); hasX != hasY {
		o.faults.add(o.at, codeInvalid, "position has only one of x and y: give both, or none for the next free place")
	}
	if hasX && p.X+p.W > gridColumns {
		o.faults.add(o.at, codeRange, "position with x %d and w %d leaves the grid: x + w must be at most %d", p.X, p.W, gridColumns)
	}
	if !hasX {
		p.X = unplaced
	}
	o.warnUnknown()
	return p
}

func yAxis(o object) YAxis {
	y := YAxis{Label: o.text("label", maxLabel, ""), Scale: o.oneOf("scale", scales(), defaultScale)}
	if v, ok := o.number("min"); ok {
		y.Min = &v
	}
	if v, ok := o.number("max"); ok {
		y.Max = &v
	}
	if y.Min != nil && y.Max != nil && *y.Min >= *y.Max {
		o.faults.add(o.pointer("min"), codeRange, "min is %v and max %v: min must be below max", *y.Min, *y.Max)
	}
	if y.Scale == "log" {
		for _, end := range []struct {
			name string
			at   *float64
		}{{"min", y.Min}, {"max", y.Max}} {
			if end.at != nil && *end.at <= 0 {
				o.faults.add(o.pointer(end.name), codeRange, "%s is %v: a log scale begins above 0", end.name, *end.at)
			}
		}
	}
	o.warnUnknown()
	return y
}

func thresholds(o object) []Threshold {
	out := []Threshold{}
	for i, v := range o.list("thresholds", maxThresholds) {
		e, ok := asObject(v, underIndex(o.pointer("thresholds"), i), o.faults)
		if !ok {
			continue
		}
		var t Threshold
		e.require("at", "a threshold needs at: the value from which on it holds")
		t.At, _ = e.number("at")
		e.require("level", "a threshold needs a level: one of %s", strings.Join(levels(), ", "))
		t.Level = e.oneOf("level", levels(), "")
		e.warnUnknown()
		out = append(out, t)
	}
	return out
}
