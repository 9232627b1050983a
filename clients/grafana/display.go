package grafana

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"pulseboard/configsvc"
)

// display is how a panel shows its values, in Grafana's scale.
type display struct {
	chart      string
	unit       string // Grafana's id.
	label      string
	min, max   *float64
	log        bool
	thresholds []configsvc.Threshold
	notes      []string
}

func (d *display) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// charts are the types of panels that have a counterpart.
func chartOf(panel object) (chart string, ok bool) {
	switch panel.text("type") {
	case "timeseries", "graph":
		return "line", true
	case "gauge", "bargauge":
		return "gauge", true
	case "stat":
		return "stat", true
	case "singlestat":
		if panel.object("gauge").yes("show") {
			return "gauge", true
		}
		return "stat", true
	case "table", "table-old":
		return "table", true
	case "heatmap":
		return "heatmap", true
	}
	return "", false
}

func readDisplay(panel object, chart string) *display {
	d := &display{chart: chart}
	switch panel.text("type") {
	case "graph":
		d.graph(panel)
	case "singlestat":
		d.singlestat(panel)
	default:
		d.fields(panel)
	}
	if d.log && (d.min != nil && *d.min <= 0 || d.max != nil && *d.max <= 0) {
		d.note("a log scale begins above 0: the bounds of the axis are left out")
		d.min, d.max = nil, nil
	}
	if d.min != nil && d.max != nil && *d.min >= *d.max {
		d.note("the lower bound of the axis is not below the upper one: both are left out")
		d.min, d.max = nil, nil
	}
	return d
}

func bound(o object, name string) *float64 {
	if x, ok := o.number(name); ok {
		return &x
	}
	return nil
}

// fields reads the options that all newer panels have.
func (d *display) fields(panel object) {
	defaults := panel.object("fieldConfig").object("defaults")
	custom := defaults.object("custom")
	d.unit, d.min, d.max, d.label = defaults.text("unit"), bound(defaults, "min"), bound(defaults, "max"), custom.text("axisLabel")
	switch scale := custom.object("scaleDistribution").text("type"); scale {
	case "log":
		d.log = true
	case "", "linear":
	default:
		d.note("the scale %s is shown as linear", scale)
	}
	if n := defaults.whole("decimals", 0, 100, -1); n >= 0 {
		d.note("%d decimals: the page chooses how many it shows", n)
	}
	if style := custom.text("drawStyle"); style == "bars" || style == "points" {
		d.note("%s are drawn as a line", style)
	}
	if mode := custom.object("stacking").text("mode"); mode != "" && mode != "none" {
		d.note("the series are not stacked")
	}
	if len(defaults.list("mappings")) > 0 {
		d.note("values are shown as numbers, without the texts of value mappings")
	}
	if n := len(panel.object("fieldConfig").list("overrides")); n > 0 {
		d.note("%d overrides of single fields are left out", n)
	}
	if !d.showsThresholds(panel) {
		return
	}
	t := defaults.object("thresholds")
	if t.text("mode") == "percentage" {
		d.note("thresholds in percent of the range are left out")
		return
	}
	d.steps(t.objects("steps"))
}

// showsThresholds reports whether a newer panel shows its thresholds: each has some, if only those that Grafana gives it.
func (d *display) showsThresholds(panel object) bool {
	defaults, options := panel.object("fieldConfig").object("defaults"), panel.object("options")
	custom, mode := defaults.object("custom"), defaults.object("color").text("mode")
	coloured := mode == "" || mode == "thresholds"
	switch panel.text("type") {
	case "stat":
		return coloured && options.text("colorMode") != "none"
	case "gauge":
		markers := options["showThresholdMarkers"] == nil || options.yes("showThresholdMarkers")
		return coloured || markers || options.yes("showThresholdLabels")
	case "bargauge":
		return coloured
	case "table":
		cell := cmp.Or(custom.object("cellOptions").text("type"), custom.text("displayMode"))
		return coloured && cell != "" && cell != "auto" && cell != "json-view" && cell != "image"
	case "timeseries":
		style := custom.object("thresholdsStyle").text("mode")
		return style != "" && style != "off"
	}
	return false
}

// ofDistribution is how a heat map shows buckets: what holds of its values is said of the axis, and not of the cells.
func (d *display) ofDistribution(panel object) *display {
	axis := panel.object("options").object("yAxis")
	out := *d
	out.unit, out.label, out.min, out.max, out.log = axis.text("unit"), axis.text("axisLabel"), bound(axis, "min"), bound(axis, "max"), false
	if out.min != nil && out.max != nil && *out.min >= *out.max {
		out.min, out.max = nil, nil
	}
	return &out
}

// steps reads thresholds of which the first has no value: it is what is below all others.
func (d *display) steps(steps []object) {
	for i, s := range steps {
		at, ok := s.number("value")
		level, known := levelOf(s.text("color"), i, len(steps))
		switch {
		case ok:
			d.threshold(at, level)
		case level == "ok" || !known && i == 0:
			// What is below the first threshold has no level, which looks as well as ok.
		case d.min != nil:
			d.threshold(*d.min, level)
		default:
			d.note("below the first threshold it is %s in Grafana: that is left out, since there is no lower bound to begin at", level)
		}
	}
}

const maxThresholds = 20

func (d *display) threshold(at float64, level string) {
	if len(d.thresholds) == maxThresholds {
		d.note("only the first %d thresholds are kept", maxThresholds)
		return
	}
	d.thresholds = append(d.thresholds, configsvc.Threshold{At: at, Level: level})
}

// graph is the panel of line charts before Grafana 7.4.
func (d *display) graph(panel object) {
	if axes := panel.objects("yaxes"); len(axes) > 0 {
		y := axes[0]
		d.unit, d.label, d.min, d.max = y.text("format"), y.text("label"), bound(y, "min"), bound(y, "max")
		d.log = y.whole("logBase", 1, math.MaxInt32, 1) > 1
	}
	if panel.yes("stack") {
		d.note("the series are not stacked")
	}
	if panel.yes("bars") {
		d.note("bars are drawn as a line")
	}
	if n := len(panel.list("seriesOverrides")); n > 0 {
		d.note("%d overrides of single series are left out", n)
	}
	if len(panel.object("aliasColors")) > 0 {
		d.note("the colours of single series are left out")
	}
	for _, t := range panel.objects("thresholds") {
		at, ok := t.number("value")
		level := map[string]string{"critical": "crit", "warning": "warn", "ok": "ok"}[t.text("colorMode")]
		switch {
		case ok && t.text("op") != "lt" && level != "":
			d.threshold(at, level)
		case ok && level == "":
			d.note("the threshold %v has a colour of its own and is left out", at)
		default:
			d.note("a threshold that holds below its value is left out")
		}
	}
}

// singlestat is the panel of single values before Grafana 7.
func (d *display) singlestat(panel object) {
	d.unit = panel.text("format")
	g := panel.object("gauge")
	if g.yes("show") {
		d.min, d.max = bound(g, "minValue"), bound(g, "maxValue")
	}
	if len(panel.list("valueMaps")) > 1 || len(panel.list("rangeMaps")) > 1 {
		d.note("values are shown as numbers, without the texts of value mappings")
	}
	if panel.text("prefix")+panel.text("postfix") != "" {
		d.note("prefix %q and postfix %q are left out", panel.text("prefix"), panel.text("postfix"))
	}
	if v := panel.text("valueName"); v != "" && v != "current" && v != "avg" {
		d.note("the value is that of the window, not the %s of the time range", v)
	}
	if !panel.yes("colorValue") && !panel.yes("colorBackground") && !g.yes("show") {
		return // It has thresholds that nothing shows.
	}
	colors := panel.list("colors")
	color := func(i int) string {
		if i >= len(colors) {
			return ""
		}
		s, _ := colors[i].(string)
		return s
	}
	if first, _ := levelOf(color(0), 0, 3); first != "ok" && panel.text("thresholds") != "" {
		d.note("below the first threshold it is %s in Grafana: that is left out", first)
	}
	for i, text := range strings.Split(panel.text("thresholds"), ",") {
		at, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || math.IsNaN(at) || math.IsInf(at, 0) {
			continue // No threshold: the member is "" or ",".
		}
		level, _ := levelOf(color(i+1), i+1, 3)
		d.threshold(at, level)
	}
}

// levelOf makes a level of a colour, by its name or its hue; of a colour that
// means nothing, by its place among n steps.
func levelOf(color string, i, n int) (level string, known bool) {
	for _, c := range []struct{ part, level string }{
		{"green", "ok"}, {"yellow", "warn"}, {"orange", "warn"}, {"red", "crit"},
	} {
		if strings.Contains(strings.ToLower(color), c.part) {
			return c.level, true
		}
	}
	var x [3]uint8
	text := strings.NewReplacer(" ", "", "rgba(", "rgb(").Replace(strings.ToLower(color))
	for _, form := range []string{"#%02x%02x%02x", "rgb(%d,%d,%d"} {
		if _, err := fmt.Sscanf(text, form, &x[0], &x[1], &x[2]); err == nil {
			if l, ok := levelOfHue(float64(x[0]), float64(x[1]), float64(x[2])); ok {
				return l, true
			}
		}
	}
	switch i {
	case 0:
		return "ok", false
	case n - 1:
		return "crit", false
	}
	return "warn", false
}

func levelOfHue(r, g, b float64) (string, bool) {
	low, high := min(r, g, b), max(r, g, b)
	if high-low < 40 {
		return "", false // Grey.
	}
	var hue float64 // In degrees.
	switch high {
	case r:
		hue = 60 * (g - b) / (high - low)
	case g:
		hue = 60*(b-r)/(high-low) + 120
	default:
		hue = 60*(r-g)/(high-low) + 240
	}
	switch {
	case hue < 20 && hue > -20:
		return "crit", true
	case hue >= 20 && hue < 70:
		return "warn", true
	case hue >= 70 && hue < 170:
		return "ok", true
	}
	return "", false
}
