// Command otelkafka writes metrics to Kafka with the Kafka exporter of OpenTelemetry's collector, as a collector does that has received
// them. Tests start it:
//
//	otelkafka BROKER TOPIC ENCODING PREFIX NUMBER
//
// It sends that many batches of metrics whose names begin with PREFIX, and says on its output, in JSON, what it sends.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"
)

// pace is the time from one batch to the next.
const pace = 20 * time.Millisecond

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		slog.Error("it ends", "error", err)
		os.Exit(1) //nolint:forbidigo // This is main.
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 5 {
		return errors.New("usage: otelkafka BROKER TOPIC ENCODING PREFIX NUMBER")
	}
	n, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	// As in the file of a collector.
	conf := confmap.NewFromStringMap(map[string]any{
		"brokers": []any{args[0]}, "metrics": map[string]any{"topic": args[1], "encoding": args[2]},
		"producer": map[string]any{"compression": "gzip", "required_acks": -1},
	})
	factory := kafkaexporter.NewFactory()
	config := factory.CreateDefaultConfig()
	if err := conf.Unmarshal(config); err != nil {
		return err
	}
	telemetry := componenttest.NewNopTelemetrySettings()
	if telemetry.Logger, err = zap.NewProduction(); err != nil {
		return err
	}
	e, err := factory.CreateMetrics(ctx, exporter.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: telemetry}, config)
	if err != nil {
		return err
	}
	if err := e.Start(ctx, componenttest.NewNopHost()); err != nil {
		return err
	}
	s := sender{prefix: args[3], began: time.Now(), totals: map[string]float64{}, rnd: rand.New(rand.NewPCG(1, 2))}
	for range n {
		if err := e.ConsumeMetrics(ctx, s.batch()); err != nil {
			return err
		}
		<-time.After(pace)
	}
	return e.Shutdown(ctx) // It sends what waits.
}

// call is what is sent, as tests read it.
type call struct {
	Metric string
	Kind   string
	Value  float64
	Tags   map[string]string
}

type sender struct {
	prefix string
	began  time.Time
	totals map[string]float64 // Of cumulative counters, by host.
	rnd    *rand.Rand
}

func (s *sender) say(name, kind, host string, v float64) {
	line, err := json.Marshal(call{s.prefix + name, kind, v, map[string]string{"host": host}})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// batch makes metrics of two resources, and says what they are.
func (s *sender) batch() pmetric.Metrics {
	all := pmetric.NewMetrics()
	now := pcommon.NewTimestampFromTime(time.Now())
	for _, host := range []string{"a", "b"} {
		resource := all.ResourceMetrics().AppendEmpty()
		resource.Resource().Attributes().PutStr("service.name", "shop")
		metrics := resource.ScopeMetrics().AppendEmpty().Metrics()
		half := func() float64 { return float64(s.rnd.IntN(300)) / 2 }
		add := func(name string) pmetric.Metric {
			m := metrics.AppendEmpty()
			m.SetName(s.prefix + name)
			return m
		}
		point := func(p pmetric.NumberDataPoint, start time.Time, v float64) {
			p.Attributes().PutStr("host", host)
			p.SetTimestamp(now)
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			p.SetDoubleValue(v)
		}
		v := half()
		s.totals[host] += v
		sum := add(".requests").SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		point(sum.DataPoints().AppendEmpty(), s.began, s.totals[host])
		s.say(".requests", "counter", host, v)

		v = half()
		sum = add(".bytes").SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		point(sum.DataPoints().AppendEmpty(), time.Now().Add(-pace), v)
		s.say(".bytes", "deltas", host, v)

		v = half()
		point(add(".temperature").SetEmptyGauge().DataPoints().AppendEmpty(), s.began, v)
		s.say(".temperature", "gauge", host, v)

		h := add(".lag").SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		p := h.DataPoints().AppendEmpty()
		p.Attributes().PutStr("host", host)
		p.SetTimestamp(now)
		p.SetCount(1)
		p.SetSum(2)
		p.SetScale(0)
		p.Positive().SetOffset(0) // (1, 2].
		p.Positive().BucketCounts().FromRaw([]uint64{1})
		s.say(".lag", "exponential", host, 2)
	}
	return all
}
