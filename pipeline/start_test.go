package pipeline_test

import (
	"testing"
	"time"

	"pulseboard/metric"
	"pulseboard/pipeline"
	"pulseboard/registry"
	"pulseboard/transforms"
	"pulseboard/wire"
)

// Records are read from where the oldest window begins that Redis lacks.
func TestStartTime(t *testing.T) {
	now := time.UnixMilli(1_763_892_000_000)
	c := pipeline.Default()
	margin := c.Lateness + c.Skew + c.Bound + 2*c.Slice
	entry := func(window, delay int, refreshMs ...int64) wire.QueryEntry {
		return wire.QueryEntry{Query: metric.Query{Metric: "m", Aggregation: metric.Sum, WindowSeconds: window, DelaySeconds: delay}, RefreshMs: refreshMs}
	}
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	for name, c := range map[string]struct {
		entries map[string]wire.QueryEntry
		ends    map[string]int64
		anew    map[string]bool
		want    time.Duration // Before now, besides the margin.
	}{
		"no query":                  {nil, nil, nil, 0},
		"Redis knows nothing":       {map[string]wire.QueryEntry{"a": entry(60, 5, 1000), "b": entry(300, 0, 1000)}, nil, nil, 5 * time.Minute},
		"away for a minute":         {map[string]wire.QueryEntry{"a": entry(60, 5, 1000)}, map[string]int64{"a": ago(time.Minute)}, nil, time.Minute + 65*time.Second},
		"600 points hold no more":   {map[string]wire.QueryEntry{"a": entry(60, 0, 1000)}, map[string]int64{"a": ago(50 * time.Minute)}, nil, 11 * time.Minute},
		"an hour is filled at most": {map[string]wire.QueryEntry{"a": entry(60, 0, 30_000)}, map[string]int64{"a": ago(3 * time.Hour)}, nil, 61 * time.Minute},
		"the oldest counts":         {map[string]wire.QueryEntry{"a": entry(10, 0, 1000), "b": entry(3600, 0, 1000)}, map[string]int64{"a": ago(5 * time.Minute), "b": ago(time.Second)}, nil, time.Hour + time.Second},
		"all was taken back":        {map[string]wire.QueryEntry{"a": entry(60, 0, 1000)}, nil, map[string]bool{"a": true}, 11 * time.Minute},
	} {
		resume := transforms.Resume{Keys: make(map[string]transforms.Resumed)}
		for key := range c.entries {
			resume.Keys[key] = transforms.Resumed{From: c.ends[key], Anew: c.anew[key]}
		}
		got := pipeline.StartTime(registry.Set{Entries: c.entries}, resume, pipeline.Default(), now)
		if want := now.Add(-c.want - margin); !got.Equal(want) {
			t.Errorf("%s: %v before now, want %v", name, now.Sub(got), now.Sub(want))
		}
	}
}
