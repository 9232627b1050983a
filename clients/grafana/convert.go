package grafana

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	labels    labels
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
		timeRange: rangeSeconds(root.object("time")), inputs: make(map[string]string), labels: make(labels),
	}
	for _, i := range root.objects("__inputs") {
		c.inputs[i.text("name")] = i.text("pluginId")
	}
	id := "grafana:" + cmp.Or(root.text("uid"), root.text("title"), filepath.Base(file))
	if options.IDOfFile {
		id += "\x00" + filepath.Base(file)
	}
	r.DashboardID = dashcode.DeriveID(id)
	r.Title = cmp.Or(clean(root.text("title"), maxTitle), clean(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), maxTitle))
	tags := c.tags(root)
	c.setRefresh(root)
	c.learn(root)
	c.panels(root)
	arrange(c.boxes)
	for i, b := range c.boxes {
		c.widgets[i].Display.Position = &configsvc.PositionInput{X: &b.x, Y: &b.y, W: &b.w, H: &b.h}
	}
	variables := c.chosenVariables()
	r.Widgets = len(c.widgets)
	c.others(root)
	r.judge()
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
	if root.object("spec") != nil && root["apiVersion"] != nil {
		root = resource(root)
	}
	version, hasVersion := root.number("schemaVersion")
	switch {
	case root.list("panels") == nil && len(root.list("rows")) == 0 && !hasVersion:
		return nil, errors.New("it has no panels: is it a dashboard of Grafana?")
	case len(root.list("rows")) > 0 || hasVersion && version < oldestSchema: // Upgraded ones keep an empty list.
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
			c.other("tag", s, Lost, "a dashboard has at most %d tags", maxTags)
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
		c.other("setting", "refresh "+text, Right, "at most every hour")
	}
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
			c.other("variable", name, Left, "there is one source of data")
		case v.kind == "interval" && !isDuration(v.value):
			c.other("variable", name, Right, "Grafana chooses its value: here it is %d s", c.options.Window)
		case !v.listed && (v.kind == "constant" || v.kind == "textbox" || v.kind == "interval" || v.kind == "custom"):
			c.other("variable", name, Right, "it was replaced by its value %q where it stood", clean(v.value, maxName))
		case !v.listed:
			c.other("variable", name, Lost, "variables of type %s have no counterpart", clean(v.kind, maxName))
		case tag == "" || !used:
			c.other("variable", name, Lost, "no query that could be mapped uses it")
		case len(name) > maxName:
			c.other("variable", name, Lost, "its name has %d bytes: at most %d", len(name), maxName)
		case len(out) == maxVariables:
			c.other("variable", name, Lost, "a dashboard has at most %d variables", maxVariables)
		default:
			out = append(out, configsvc.Variable{Name: name, Tag: tag})
			c.other("variable", name, Right, "it chooses among the series by the tag %s", tag)
		}
	}
	return out
}

// others reports what a dashboard has besides panels.
func (c *conversion) others(root object) {
	if c.options.Delay == 0 && c.options.Arrival == nil && len(c.widgets) > 0 {
		c.other("setting", "delay 0", Right, "windows do not wait for late events: of senders in batches, as Prometheus' remote write is one (5 s), each lacks the newest; --delay says how long")
	}
	if root.text("description") != "" {
		c.other("description", root.text("description"), Left, "dashboards have none")
	}
	for _, a := range root.object("annotations").objects("list") {
		if a["builtIn"] != nil && a.whole("builtIn", 0, 1, 0) == 1 {
			continue // Grafana's own, in every dashboard.
		}
		c.other("annotation", a.text("name"), Lost, "charts have no annotations")
	}
	for _, l := range root.objects("links") {
		c.other("link", cmp.Or(l.text("title"), l.text("url")), Lost, "dashboards have no links")
	}
}
