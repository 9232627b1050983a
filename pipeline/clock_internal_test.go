package pipeline

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"pulseboard/internal/redisconn"
	"pulseboard/results"
	"pulseboard/wire"
)

// A start takes back what a clock has published that was ahead: what is of the future, and after a clock that
// was set back everything since, also what is of the past by now.
func TestAStartTakesBack(t *testing.T) {
	for name, c := range map[string]struct {
		steps []results.Step // Times from now, ms.
		want  []int64        // What stays of ends from three seconds before to three after now, s.
	}{
		"of the future":                   {nil, []int64{-3, -2, -1, 0}},
		"set back":                        {[]results.Step{{Since: -1500, Back: true}}, []int64{-3, -2}},
		"set forward, then back":          {[]results.Step{{Since: -2500}, {Since: 500, Back: true}}, []int64{-3}},
		"set forward only":                {[]results.Step{{Since: -2500}}, []int64{-3, -2, -1, 0}},
		"set back while none ran":         {[]results.Step{{Since: -2500, Noted: 5000}}, []int64{-3}},
		"a step that is long in the past": {[]results.Step{{Since: -5 * 3_600_000}, {Since: -1500, Back: true}}, []int64{-3, -2}},
	} {
		t.Run(name, func(t *testing.T) {
			conf := Default()
			conf.Redis = redisconn.At(miniredis.RunT(t).Addr())
			conf.Log = slog.New(slog.DiscardHandler)
			store, err := results.Open(t.Context(), conf.Redis)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close() //nolint:errcheck // Of a test.
			now := time.Now().Truncate(time.Second)
			stream := results.Stream{Key: "m:count:1s", RefreshMs: 1000}
			for i := int64(-3); i <= 3; i++ {
				end := now.UnixMilli() + 1000*i
				r := &wire.Result{Key: stream.Key, WindowStart: end - 1000, WindowEnd: end, Due: []int64{1000}, Complete: true}
				if _, err := store.Publish(t.Context(), []results.Publication{{Result: r}}); err != nil {
					t.Fatal(err)
				}
			}
			for _, s := range c.steps {
				if err := store.NoteStep(t.Context(), results.Step{Since: now.UnixMilli() + s.Since, Back: s.Back, Noted: now.UnixMilli() + s.Noted - 1}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // Another start finds nothing to do.
				tips, err := store.Newest(t.Context(), []results.Stream{stream})
				if err != nil {
					t.Fatal(err)
				}
				if err := takeBack(t.Context(), conf, store, now, []results.Stream{stream}, tips); err != nil {
					t.Fatal(err)
				}
				history, err := store.History(t.Context(), stream.Key, stream.RefreshMs, 0, 100)
				if err != nil {
					t.Fatal(err)
				}
				var left []int64
				for _, r := range history {
					left = append(left, (r.WindowEnd-now.UnixMilli())/1000)
				}
				if !slices.Equal(left, c.want) || tips[0].WindowEnd != history[len(history)-1].WindowEnd {
					t.Errorf("%v stay, the tip is %+v; want %v", left, tips[0], c.want)
				}
				_, taken, err := store.Horizon(t.Context())
				if err != nil || !taken.Has(now.UnixMilli()+3000) || taken.Has(now.UnixMilli()+1000*c.want[len(c.want)-1]) {
					t.Errorf("readers are told %+v, %v", taken, err)
				}
			}
			if step, err := store.LastStep(t.Context()); err != nil || step.Back {
				t.Errorf("%+v is left, %v", step, err)
			}
		})
	}
}
