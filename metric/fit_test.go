package metric_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pulseboard/metric"
)

func TestTagsFit(t *testing.T) {
	many := metric.Tags{}
	for i := range metric.MaxTags + 5 {
		many = append(many, metric.Tag{Key: fmt.Sprintf("t%03d", i), Value: "v"})
	}
	other := append(metric.Tags{}, many...)
	other[len(other)-1].Value = "w"
	long := metric.Tags{{Key: "k", Value: strings.Repeat("é", metric.MaxTagValue)}}
	longer := metric.Tags{{Key: "k", Value: strings.Repeat("é", metric.MaxTagValue) + "x"}}
	key := metric.Tags{{Key: strings.Repeat("é", metric.MaxTagKey+1), Value: "v"}, {Key: "z", Value: "v"}}
	seen := map[string]string{}
	for name, tags := range map[string]metric.Tags{"many": many, "other": other, "long": long, "longer": longer, "key": key} {
		before := tags.String()
		fit, cut := tags.Fit()
		if !cut || metric.CheckTags(fit) != nil {
			t.Errorf("%s: cut %v, %v: %v", name, cut, metric.CheckTags(fit), fit)
		}
		for _, tag := range fit {
			if !utf8.ValidString(tag.Key) || !utf8.ValidString(tag.Value) {
				t.Errorf("%s: a character was cut in two: %q", name, tag)
			}
		}
		if tags.String() != before {
			t.Errorf("%s: the tags that it was given have changed", name)
		}
		if twin, there := seen[fit.String()]; there {
			t.Errorf("%s and %s became the same", name, twin)
		}
		seen[fit.String()] = name
	}
	within := metric.Tags{{Key: strings.Repeat("é", metric.MaxTagKey), Value: strings.Repeat("v", metric.MaxTagValue)}}
	if fit, cut := within.Fit(); cut || fit.Compare(within) != 0 {
		t.Errorf("what fits became %v", fit)
	}
}
