package grafana

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// resource is the classic form of a Kubernetes-style resource: v0alpha1 and v1 have it under "spec", v2 names panels and
// lays them out apart.
func resource(root object) object {
	spec := maps.Clone(root.object("spec"))
	if spec.text("uid") == "" {
		spec["uid"] = root.object("metadata").text("name")
	}
	elements := spec.object("elements")
	if elements == nil {
		return spec
	}
	v := v2{elements: elements, seen: make(map[string]bool)}
	v.layout(spec.object("layout"), 0)
	v.unplaced()
	settings := spec.object("timeSettings")
	return object{
		"uid": spec["uid"], "title": spec["title"], "description": spec["description"], "tags": spec["tags"], "links": spec["links"],
		"schemaVersion": float64(oldestSchema), "panels": v.panels, "refresh": settings["autoRefresh"],
		"time":       map[string]any{"from": settings["from"], "to": settings["to"]},
		"templating": map[string]any{"list": specs(spec.objects("variables"), variableOfKind)},
		"annotations": map[string]any{"list": specs(spec.objects("annotations"), func(_ string, spec object) object {
			if spec.yes("builtIn") {
				spec["builtIn"] = float64(1)
			}
			return spec
		})},
	}
}

// specs are the specs of things of a kind.
func specs(list []object, classic func(kind string, spec object) object) []any {
	out := make([]any, 0, len(list))
	for _, o := range list {
		out = append(out, map[string]any(classic(o.text("kind"), maps.Clone(o.object("spec")))))
	}
	return out
}

// variableOfKind is a variable, such as one of kind QueryVariable.
func variableOfKind(kind string, spec object) object {
	if spec == nil {
		spec = object{}
	}
	spec["type"] = strings.ToLower(strings.TrimSuffix(kind, "Variable"))
	if q := spec.object("query"); q != nil { // A DataQuery, of which the text has one of these names.
		inner := q.object("spec")
		spec["query"] = cmp.Or(inner.text("query"), inner.text("expr"), inner.text("__legacyStringValue"), q.text("query"))
	}
	return spec
}

// v2 collects the panels of a layout. All numbers are in Grafana's grid.
type v2 struct {
	elements object
	seen     map[string]bool
	panels   []any
}

// Sizes of what a layout places by itself.
const autoWidth, autoHeight, gridWidth = 8, 8, 24

// layout places what l has from the row y on, and returns the first row below it.
func (v *v2) layout(l object, y int) int {
	spec, bottom := l.object("spec"), y
	switch l.text("kind") {
	case "GridLayout":
		for _, item := range spec.objects("items") {
			s := item.object("spec")
			at := y + s.whole("y", 0, maxRow, 0)
			if item.text("kind") == "GridLayoutRow" {
				v.row(s, at)
				bottom = max(bottom, at+1)
				for _, inner := range s.objects("elements") {
					bottom = max(bottom, v.item(inner.object("spec"), at+1))
				}
				continue
			}
			bottom = max(bottom, v.item(s, y))
		}
	case "AutoGridLayout", "ResponsiveGridLayout":
		across := spec.whole("maxColumnCount", 1, gridWidth, gridWidth/autoWidth)
		width := gridWidth / across
		for i, item := range spec.objects("items") {
			s := item.object("spec")
			v.place(s, float64(i%across*width), float64(y+i/across*autoHeight), float64(width), autoHeight)
			bottom = y + (i/across+1)*autoHeight
		}
	case "RowsLayout", "TabsLayout":
		for _, part := range append(spec.objects("rows"), spec.objects("tabs")...) {
			s := part.object("spec")
			v.row(s, bottom)
			bottom = v.layout(s.object("layout"), bottom+1)
		}
	}
	return bottom
}

func (v *v2) row(spec object, y int) {
	v.panels = append(v.panels, map[string]any{
		"type": "row", "title": spec["title"], "repeat": spec.object("repeat")["value"], "gridPos": map[string]any{"x": 0., "y": float64(y), "w": float64(gridWidth), "h": 1.},
	})
}

// item places one of a grid, and returns the first row below it.
func (v *v2) item(spec object, y int) int {
	at, height := y+spec.whole("y", 0, maxRow, 0), spec.whole("height", 1, 2*maxHeight, autoHeight)
	v.place(spec, float64(spec.whole("x", 0, gridWidth-1, 0)), float64(at), float64(spec.whole("width", 1, gridWidth, gridWidth/2)), float64(height))
	return at + height
}

func (v *v2) place(item object, x, y, w, h float64) {
	name := item.object("element").text("name")
	e := v.elements.object(name)
	if e == nil {
		return
	}
	v.seen[name] = true
	p := panelOfElement(e)
	p["repeat"] = item.object("repeat")["value"]
	p["gridPos"] = map[string]any{"x": x, "y": y, "w": w, "h": h}
	v.panels = append(v.panels, map[string]any(p))
}

// unplaced places the elements that no layout names below all others, so that none is lost.
func (v *v2) unplaced() {
	for _, name := range slices.Sorted(maps.Keys(v.elements)) {
		if !v.seen[name] {
			v.place(object{"element": map[string]any{"name": name}}, 0, math.MaxInt16, gridWidth/2, autoHeight)
		}
	}
}

// panelOfElement is the classic form of a panel.
func panelOfElement(e object) object {
	spec := e.object("spec")
	viz, data := spec.object("vizConfig"), spec.object("data").object("spec")
	look, options := viz.object("spec"), data.object("queryOptions")
	p := object{
		"id": spec["id"], "title": spec["title"], "description": spec["description"], "links": spec["links"],
		"type": cmp.Or(viz.text("group"), viz.text("kind")), "options": look["options"], "fieldConfig": look["fieldConfig"],
		"interval": options["interval"], "timeFrom": options["timeFrom"], "timeShift": options["timeShift"],
	}
	if e.text("kind") == "LibraryPanel" {
		p["libraryPanel"] = spec["libraryPanel"]
	}
	var targets, transformations []any
	for i, q := range data.objects("queries") {
		targets = append(targets, targetOfQuery(q.object("spec"), i))
	}
	for _, t := range data.objects("transformations") {
		transformations = append(transformations, map[string]any{"id": cmp.Or(t.object("spec").text("id"), t.text("group"), t.text("kind"))})
	}
	p["targets"], p["transformations"] = targets, transformations
	return p
}

// targetOfQuery is the classic form of a query: its data source is named by the group, or the kind of v2alpha1.
func targetOfQuery(spec object, i int) map[string]any {
	query := spec.object("query")
	t := maps.Clone(map[string]any(query.object("spec")))
	if t == nil {
		t = make(map[string]any)
	}
	t["refId"], t["hide"] = cmp.Or(spec.text("refId"), strconv.Itoa(i+1)), spec["hidden"]
	kind := query.text("group")
	if k := query.text("kind"); kind == "" && k != "DataQuery" {
		kind = k
	}
	t["datasource"] = map[string]any{"type": kind, "uid": cmp.Or(query.object("datasource").text("name"), spec.object("datasource").text("uid"))}
	return t
}
