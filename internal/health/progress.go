package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pulseboard/internal/scrape"
)

const (
	// watermarkBehind is the delay that the alert WatermarkBehind has too.
	watermarkBehind = 5 * time.Second
	// canaryLate is the age that the alert CanaryLate has too.
	canaryLate = 10 * time.Second
	// lossTime is how long the check fails after a lost event of the canary.
	lossTime = time.Minute
)

// reading is a check that gathers metrics and judges them.
func reading(name, process string, g prometheus.Gatherer, judge func([]*dto.MetricFamily) (well string, err error)) Check {
	return Check{Name: name, Measure: func(context.Context) (string, error) {
		families, err := g.Gather()
		if err != nil {
			return "", fmt.Errorf("the metrics of the %s cannot be read: %w", process, err)
		}
		return judge(families)
	}}
}

// Pipeline are the checks of the job, by its metrics: its watermark follows the
// clock, and no record waits in Kafka.
func Pipeline(g prometheus.Gatherer) []Check {
	return []Check{reading("pipeline", "pipeline", g, judgeWatermark), reading("lag", "pipeline", g, judgeLag)}
}

// errSilent is the fault when a metric is missing.
var errSilent = errors.New("the pipeline does not answer, or reads nothing yet")

func judgeWatermark(families []*dto.MetricFamily) (string, error) {
	delay, ok := largest(families, "pulseboard_source_watermark_delay_seconds")
	switch {
	case !ok:
		return "", errSilent
	case delay > watermarkBehind.Seconds():
		return "", fmt.Errorf("the watermark of the pipeline is %.1f s behind the clock: results are as late", delay)
	}
	return fmt.Sprintf("its watermark is %.1f s behind the clock", max(0, delay)), nil
}

func judgeLag(families []*dto.MetricFamily) (string, error) {
	lag, ok := largest(families, "pulseboard_source_lag_seconds")
	switch {
	case !ok:
		return "", errSilent
	case lag > watermarkBehind.Seconds():
		return "", fmt.Errorf("a record has waited in Kafka for %.1f s, or a broker has said nothing for as long", lag)
	}
	return fmt.Sprintf("the oldest record in Kafka that was not read yet has waited for %.1f s", max(0, lag)), nil
}

// Canary is the check of the whole by the events that a canary sends through it,
// by the canary's metrics.
func Canary(g prometheus.Gatherer) Check {
	c := &canary{now: time.Now}
	return reading("canary", "canary", g, c.judge)
}

// canary remembers the losses that it has seen.
type canary struct {
	seen  float64
	since time.Time // Of the last loss; zero = there was none.
	now   func() time.Time
}

func (c *canary) judge(families []*dto.MetricFamily) (string, error) {
	lost := total(families, "pulseboard_canary_verdicts_total", "lost", "twice")
	if lost > c.seen {
		c.seen, c.since = lost, c.now()
	}
	age, ok := largest(families, "pulseboard_canary_age_seconds")
	switch {
	case !ok:
		return "", errors.New("the canary does not run")
	case age > canaryLate.Seconds():
		return "", fmt.Errorf("no event of the canary has come through all stages for %.0f s", age)
	case !c.since.IsZero() && c.now().Sub(c.since) < lossTime:
		return "", fmt.Errorf("events of the canary were lost or counted twice, %.0f since the start", lost)
	}
	return fmt.Sprintf("an event came through all stages %.1f s ago", max(0, age)), nil
}

// largest returns the largest value of a gauge, false = there is none.
func largest(families []*dto.MetricFamily, name string) (v float64, ok bool) {
	for _, m := range scrape.Metrics(families, name) {
		if x := m.GetGauge().GetValue(); !ok || x > v {
			v, ok = x, true
		}
	}
	return v, ok
}

// total adds up a counter over some values of its only label.
func total(families []*dto.MetricFamily, name string, values ...string) (sum float64) {
	for _, m := range scrape.Metrics(families, name) {
		if l := m.GetLabel(); len(l) == 1 && slices.Contains(values, l[0].GetValue()) {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}
