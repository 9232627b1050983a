package configsvc

import (
	"math"
	"slices"
	"strings"

	"pulseboard/metric"
)

// Query returns what the widget asks the pipeline for.
func (w Widget) Query() metric.Query {
	return metric.Query{
		Metric: w.Metric, Aggregation: w.Aggregation, WindowSeconds: w.WindowSeconds,
		DelaySeconds: w.DelaySeconds, Filter: w.Filter, GroupBy: w.GroupBy,
	}.Normal()
}

// RefreshMs returns the refresh interval in milliseconds.
func (w Widget) RefreshMs() int64 { return int64(math.Round(w.RefreshSeconds * 1000)) }

// OwnTags begins the tags of dashboards that programs keep for themselves: drafts
// under somebody's hands ("pulseboard:draft", web/src/pages/edit/scratch.ts), and that of the
// canary. Lists leave them out, unless they are asked for such a tag.
const OwnTags = "pulseboard:"

func isOwn(tag string) bool { return strings.HasPrefix(tag, OwnTags) }

func (d *Dashboard) own() bool { return slices.ContainsFunc(d.Tags, isOwn) }

// ownTags is own for the tags as the database keeps them.
func ownTags(tags string) bool { return strings.Contains(tags, "\n"+OwnTags) }
