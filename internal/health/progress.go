package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

const (
	// watermarkBehind is the delay that the alert WatermarkBehind has too.
	watermarkBehind = 5 * time.Second
	// canaryLate is the age that the alert CanaryLate has too.
	canaryLate = 10 * time.Second
	// lossTime is how long a lost event of the canary is told.
	lossTime = time.Minute
)

// Pipeline is the check of the job, by its metrics: its watermark follows the clock.
func Pipeline(g prometheus.Gatherer) Check {
	return Check{Name: "pipeline", Probe: func(context.Context) error {
		families, err := g.Gather()
		if err != nil {
			return fmt.Errorf("the metrics of the pipeline cannot be read: %w", err)
		}
		delay, ok := largest(families, "pulseboard_source_watermark_delay_seconds")
		switch {
		case !ok:
			return errors.New("the pipeline does not run, or reads nothing yet")
		case delay > watermarkBehind.Seconds():
			return fmt.Errorf("the watermark of the pipeline is %.1f s behind the clock: results are as late", delay)
		}
		return nil
	}}
}

// Canary is the check of the whole by the events that a canary sends through it,
// by the canary's metrics.
func Canary(g prometheus.Gatherer) Check {
	c := &canary{now: time.Now}
	return Check{Name: "canary", Probe: func(context.Context) error {
		families, err := g.Gather()
		if err != nil {
			return fmt.Errorf("the metrics of the canary cannot be read: %w", err)
		}
		return c.judge(families)
	}}
}

// canary remembers which losses it knows.
type canary struct {
	mu    sync.Mutex
	known float64
	since time.Time // The last loss was seen; zero = there was none.
	now   func() time.Time
}

func (c *canary) judge(families []*dto.MetricFamily) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	lost := total(families, "pulseboard_canary_verdicts_total", "verdict", "lost", "twice")
	if lost > c.known {
		c.known, c.since = lost, c.now()
	}
	age, ok := largest(families, "pulseboard_canary_age_seconds")
	switch {
	case !ok:
		return errors.New("the canary does not run")
	case age > canaryLate.Seconds():
		return fmt.Errorf("no event of the canary has come through all stages for %.0f s", age)
	case !c.since.IsZero() && c.now().Sub(c.since) < lossTime:
		return fmt.Errorf("events of the canary were lost or counted twice, %.0f since the start", lost)
	}
	return nil
}

// largest returns the largest value of a gauge, false = there is none.
func largest(families []*dto.MetricFamily, name string) (v float64, ok bool) {
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if x := m.GetGauge().GetValue(); !ok || x > v {
				v, ok = x, true
			}
		}
	}
	return v, ok
}

// total adds up a counter over some values of a label.
func total(families []*dto.MetricFamily, name, label string, values ...string) (sum float64) {
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				for _, v := range values {
					if l.GetName() == label && l.GetValue() == v {
						sum += m.GetCounter().GetValue()
					}
				}
			}
		}
	}
	return sum
}
