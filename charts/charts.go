// Package charts is the table of what a widget can be drawn as. What lists the names, in the config service's
// rules, its OpenAPI document and the page, follows from this table by go generate. A further one is a line here
// and a folder of that name in web/src/widgets.
package charts

// Chart is one way to draw a widget.
type Chart struct {
	// Name is the value of display_config.chart.
	Name string
	// History is whether the drawing shows results before the newest one.
	History bool
	// Distributions is whether it draws those, which the aggregation histogram gives.
	Distributions bool
}

//go:generate go run ../tools/lists ..

// All returns the charts in the order in which people are shown them. The first one is the default.
func All() []Chart {
	return []Chart{
		{Name: "line", History: true},
		{Name: "gauge"},
		{Name: "stat", History: true},
		{Name: "table", History: true},
		{Name: "heatmap", History: true, Distributions: true},
	}
}

// Names returns the name of each chart.
func Names() []string {
	names := make([]string, 0, len(All()))
	for _, c := range All() {
		names = append(names, c.Name)
	}
	return names
}

// OfDistributions returns the names of those that draw distributions. The first one is the default there.
func OfDistributions() []string {
	var names []string
	for _, c := range All() {
		if c.Distributions {
			names = append(names, c.Name)
		}
	}
	return names
}

// NeedsHistory reports whether a chart of that name shows earlier results. A name that is not in the table, as
// a newer config service may write, needs them.
func NeedsHistory(name string) bool {
	for _, c := range All() {
		if c.Name == name {
			return c.History
		}
	}
	return true
}
