package configsvc

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"

	"pulseboard/charts"
	"pulseboard/metric"
)

// The rules and the API's description name the same limits, choices and defaults: every
// one of the description's schemas is compared, and one that no rule is known for fails.
func TestLimitsAreThoseOfTheDescription(t *testing.T) {
	var doc map[string]any
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	said := map[string]string{}
	for _, name := range []string{"DashboardInput", "Variable", "WidgetInput", "WidgetsPatch", "Filter", "TagValues", "DisplayInput", "XAxisInput", "YAxisInput", "Threshold", "PositionInput"} {
		if schemas[name] == nil {
			t.Fatalf("there is no schema %s", name)
		}
		limitsOf(schemas[name], name, said)
	}
	want := map[string]any{
		"DashboardInput.title.maxLength": maxTitle, "DashboardInput.title.default": defaultTitle,
		"DashboardInput.tags.maxItems": maxTags, "DashboardInput.tags.items.maxLength": maxTag,
		"DashboardInput.variables.maxItems": maxVariables, "DashboardInput.widgets.maxItems": maxWidgets,
		"Variable.name.maxLength":            maxName,
		"WidgetInput.metric_name.maxLength":  metric.MaxName,
		"WidgetInput.window_seconds.minimum": 1,
		"WidgetInput.window_seconds.maximum": metric.MaxWindowSeconds,
		"WidgetInput.delay_seconds.minimum":  0,
		"WidgetInput.delay_seconds.maximum":  metric.MaxDelaySeconds,
		"WidgetInput.delay_seconds.default":  0,
		"WidgetInput.first.enum":             []string{metric.FirstCounts},
		"WidgetInput.group_by.maxItems":      metric.MaxGroupBy,
		"WidgetsPatch.add.maxItems":          maxWidgets, "Filter.maxProperties": maxFilterTags,
		"TagValues.oneOf.maxItems":                     maxFilterValues,
		"DisplayInput.chart.enum":                      charts.Names(),
		"DisplayInput.chart.default":                   charts.Names()[0],
		"DisplayInput.title.maxLength":                 maxTitle,
		"DisplayInput.unit.maxLength":                  maxUnit,
		"DisplayInput.color_scheme.default":            defaultColors,
		"DisplayInput.thresholds.maxItems":             maxThresholds,
		"DisplayInput.limit.minimum":                   1,
		"DisplayInput.limit.maximum":                   maxSeriesShown,
		"DisplayInput.limit.default":                   defaultSeriesShown,
		"XAxisInput.label.maxLength":                   maxLabel,
		"YAxisInput.label.maxLength":                   maxLabel,
		"YAxisInput.scale.enum":                        scales(),
		"YAxisInput.scale.default":                     defaultScale,
		"Threshold.level.enum":                         levels(),
		"PositionInput.x.minimum":                      0,
		"PositionInput.x.maximum":                      gridColumns - 1,
		"PositionInput.y.minimum":                      0,
		"PositionInput.y.maximum":                      maxRow,
		"PositionInput.w.minimum":                      1,
		"PositionInput.w.maximum":                      gridColumns,
		"PositionInput.w.default":                      defaultWidth,
		"PositionInput.h.minimum":                      1,
		"PositionInput.h.maximum":                      maxHeight,
		"PositionInput.h.default":                      defaultHeight,
		"WidgetInput.refresh_interval_seconds.maximum": maxRefreshMs / 1000,
		"WidgetInput.refresh_interval_seconds.default": defaultRefreshMs / 1000,
	}
	for _, at := range slices.Sorted(maps.Keys(said)) {
		if rule, ok := want[at]; !ok || fmt.Sprint(rule) != said[at] {
			t.Errorf("%s is %s in openapi.yaml, and %v in the rules", at, said[at], rule)
		}
		delete(want, at)
	}
	for at := range want {
		t.Errorf("openapi.yaml has no %s", at)
	}
}

// limitsOf gathers the limits, choices and defaults of a schema and its members.
func limitsOf(node any, at string, into map[string]string) {
	m, ok := node.(map[string]any)
	if !ok {
		return
	}
	for name, v := range m {
		switch name {
		case "maxLength", "maxItems", "maxProperties", "minimum", "maximum", "enum", "default":
			if _, nested := v.(map[string]any); !nested {
				into[at+"."+name] = fmt.Sprint(v)
			}
		case "properties":
			for member, schema := range v.(map[string]any) {
				limitsOf(schema, at+"."+member, into)
			}
		case "oneOf":
			for _, choice := range v.([]any) {
				limitsOf(choice, at+".oneOf", into)
			}
		case "items":
			limitsOf(v, at+".items", into)
		}
	}
}
