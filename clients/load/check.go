package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"pulseboard/internal/clock"
)

// CheckReport compares what dashboards show with what was acknowledged.
type CheckReport struct {
	Metrics  int   `json:"metrics"`
	Events   int64 `json:"events"`   // Acknowledged, over the whole run.
	Doubtful int64 `json:"doubtful"` // Without an answer: may be in a count or not.
	Exact    bool  `json:"exact"`    // Every count and sum is as it must be.
	// What is wrong, at most ten lines.
	Faults []string `json:"faults,omitempty"`
}

type shown struct {
	Series []struct {
		Value *float64 `json:"value"`
	} `json:"series"`
}

func (s shown) value() (float64, bool) {
	if len(s.Series) != 1 || s.Series[0].Value == nil {
		return 0, false
	}
	return *s.Series[0].Value, true
}

func (s shown) String() string {
	if v, ok := s.value(); ok {
		return fmt.Sprintf("%v", v)
	}
	return "nothing"
}

const (
	checkPatience = 40 * time.Second // From the last acknowledgement until everything is shown.
	maxFaults     = 10
)

// check waits until count and sum of each metric are what was acknowledged.
func check(ctx context.Context, a *api, gateway string, c *Config, paths [][2]string, want []total) (*CheckReport, error) {
	out := &CheckReport{Metrics: c.Metrics, Exact: true}
	limit := time.Now().Add(checkPatience)
	for m, t := range want {
		out.Events += t.count
		out.Doubtful += t.doubtfulCount
		for i, name := range []string{"count", "sum"} {
			low, high := float64(t.count), float64(t.count+t.doubtfulCount)
			if i == 1 {
				low, high = float64(t.quarters)/4, float64(t.quarters+t.doubtfulQuarters)/4
			}
			var got shown
			for {
				got = shown{}
				err := a.do(ctx, "the gateway", http.MethodGet, gateway+paths[m][i], nil, &got)
				v, ok := got.value()
				if err == nil && (ok && v >= low && v <= high || !ok && high == 0) {
					break
				}
				var refused *refusal
				if errors.As(err, &refused) && refused.final() {
					return nil, err
				}
				if time.Now().After(limit) {
					if out.Exact = false; len(out.Faults) < maxFaults {
						out.Faults = append(out.Faults, faultText(c.metricName(m), name, got, low, high, err))
					}
					break
				}
				if !clock.Sleep(ctx, 100*time.Millisecond) {
					return nil, ctx.Err()
				}
			}
		}
	}
	return out, nil
}

func faultText(metric, name string, got shown, low, high float64, err error) string {
	text := fmt.Sprintf("%s of %s is %v, but must be %v", name, metric, got, low)
	if high > low {
		text += fmt.Sprintf(" to %v", high)
	}
	if err != nil {
		text += "; " + err.Error()
	}
	return text
}
