package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"sort"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	api "go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc"

	"pulseboard/e2e/testenv"
)

// otlpBounds are those of the histograms.
func otlpBounds() []float64 { return []float64{0, 5, 10, 25, 50, 75, 100} }

// otlpOracle says from what a program has recorded alone what widgets show. The kind of a histogram is that of its aggregation.
func otlpOracle(calls []call) (all []*shown) {
	byKey := make(map[string]*shown)
	values := func(name, aggregation string) map[string]float64 {
		key := name + " " + aggregation
		if byKey[key] == nil {
			byKey[key] = &shown{name, aggregation, make(map[string]float64)}
			all = append(all, byKey[key])
		}
		return byKey[key].values
	}
	for i := range calls {
		c := &calls[i]
		host, v := c.Tags["host"], c.number()
		switch c.Kind {
		case "counter":
			values(c.Metric, "increase")[host] += v
		case "changes": // Of an UpDownCounter.
			values(c.Metric, "last")[host] += v
		case "deltas": // Of one whose temporality is delta: by how much it has changed.
			values(c.Metric, "increase")[host] += v
		case "gauge":
			values(c.Metric, "last")[host] = v
		case "histogram":
			values(c.Metric+"_count", "increase")[host]++
			values(c.Metric+"_sum", "increase")[host] += v
			bounds := otlpBounds()
			values(c.Metric+"_bucket", "increase")[host] += float64(len(bounds) - sort.SearchFloat64s(bounds, v) + 1)
		case "exponential":
			values(c.Metric, "count")[host]++
			values(c.Metric, "sum")[host] += v
		}
	}
	return all
}

// twice sends each request a second time when the first was answered, as an exporter does that has not heard the answer.
type twice struct{ next http.RoundTripper }

func (d twice) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	for range 2 {
		again := req.Clone(req.Context())
		again.Body = io.NopCloser(bytes.NewReader(body))
		res, err := d.next.RoundTrip(again)
		if err != nil || res.StatusCode != http.StatusOK {
			return res, err
		}
		_ = res.Body.Close()
	}
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	return d.next.RoundTrip(again)
}

// thrice is twice of calls over gRPC.
func thrice(ctx context.Context, method string, req, reply any, c *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	for range 2 {
		if err := call(ctx, method, req, reply, c, opts...); err != nil {
			return err
		}
	}
	return call(ctx, method, req, reply, c, opts...)
}

// recorder is a program with OpenTelemetry's SDK.
type recorder struct {
	t        *testing.T
	provider *sdk.MeterProvider
	calls    []call
	rnd      *rand.Rand

	prefix       string
	delta, grpc  bool
	requests     api.Int64Counter
	bytes        api.Float64Counter
	inFlight     api.Int64UpDownCounter
	temperature  api.Float64Gauge
	latency, lag api.Float64Histogram
}

// start starts the program, or starts it again: its counters begin at zero.
func (r *recorder) start(endpoint, instance string) {
	r.t.Helper()
	temporality := metricdata.CumulativeTemporality
	if r.delta {
		temporality = metricdata.DeltaTemporality
	}
	always := func(sdk.InstrumentKind) metricdata.Temporality { return temporality }
	var exporter sdk.Exporter
	var err error
	if r.grpc {
		exporter, err = otlpmetricgrpc.New(r.t.Context(), otlpmetricgrpc.WithEndpoint(endpoint), otlpmetricgrpc.WithInsecure(),
			otlpmetricgrpc.WithCompressor("gzip"), otlpmetricgrpc.WithTimeout(5*time.Second), otlpmetricgrpc.WithTemporalitySelector(always),
			otlpmetricgrpc.WithDialOption(grpc.WithUnaryInterceptor(thrice)))
	} else {
		exporter, err = otlpmetrichttp.New(r.t.Context(), otlpmetrichttp.WithEndpoint(endpoint), otlpmetrichttp.WithInsecure(),
			otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression), otlpmetrichttp.WithTimeout(5*time.Second), otlpmetrichttp.WithTemporalitySelector(always),
			otlpmetrichttp.WithHTTPClient(&http.Client{Transport: twice{&http.Transport{DisableKeepAlives: true}}}))
	}
	if err != nil {
		r.t.Fatal(err)
	}
	exponential := sdk.NewView(sdk.Instrument{Name: r.prefix + ".lag"}, sdk.Stream{Aggregation: sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}})
	r.provider = sdk.NewMeterProvider(sdk.WithView(exponential), sdk.WithReader(sdk.NewPeriodicReader(exporter, sdk.WithInterval(time.Hour))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"), attribute.String("service.instance.id", instance), attribute.Int("process.pid", 7))))
	m := r.provider.Meter("e2e")
	must := func(err error) {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.requests, err = m.Int64Counter(r.prefix+".requests", api.WithUnit("{request}"), api.WithDescription("Requests that came."))
	must(err)
	r.bytes, err = m.Float64Counter(r.prefix + ".bytes")
	must(err)
	r.inFlight, err = m.Int64UpDownCounter(r.prefix + ".in_flight")
	must(err)
	r.temperature, err = m.Float64Gauge(r.prefix + ".temperature")
	must(err)
	r.latency, err = m.Float64Histogram(r.prefix+".latency", api.WithUnit("ms"), api.WithExplicitBucketBoundaries(otlpBounds()...))
	must(err)
	r.lag, err = m.Float64Histogram(r.prefix + ".lag")
	must(err)
}

func (r *recorder) say(name, kind, host string, value float64) {
	r.calls = append(r.calls, call{Metric: r.prefix + name, Kind: kind, Value: value, Tags: map[string]string{"host": host}})
}

// record records something of each kind, as halves, whose sums are exact.
func (r *recorder) record() {
	ctx, host := r.t.Context(), []string{"a", "b"}[r.rnd.IntN(2)]
	with := api.WithAttributes(attribute.String("host", host))
	half := func() float64 { return float64(r.rnd.IntN(300)) / 2 }
	n, v := int64(r.rnd.IntN(5)), half()
	r.requests.Add(ctx, n, with)
	r.say(".requests", "counter", host, float64(n))
	r.bytes.Add(ctx, v, with)
	r.say(".bytes", "counter", host, v)
	change := int64(r.rnd.IntN(7) - 3)
	r.inFlight.Add(ctx, change, with)
	r.say(".in_flight", map[bool]string{false: "changes", true: "deltas"}[r.delta], host, float64(change))
	v = half()
	r.temperature.Record(ctx, v, with)
	r.say(".temperature", "gauge", host, v)
	v = half()
	r.latency.Record(ctx, v, with)
	r.say(".latency", "histogram", host, v)
	v = half()
	r.lag.Record(ctx, v, with)
	r.say(".lag", "exponential", host, v)
}

// run records and sends for a while, and tells whether the last sending was answered.
func (r *recorder) run(times int) (err error) {
	for range times {
		for range 5 {
			r.record()
		}
		err = r.flush()
	}
	return err
}

func (r *recorder) flush() error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	return r.provider.ForceFlush(ctx)
}

// delivered sends until it is answered.
func (r *recorder) delivered() {
	r.t.Helper()
	testenv.Until(r.t, "what was recorded is stored", func(context.Context) error { return r.flush() })
}

// What OpenTelemetry's SDK for Go sends, each request three times, is shown as an oracle says that knows only what was recorded: while the
// program starts again, as itself and as another instance, the receiver is killed -9, and the network is cut.
func TestOpenTelemetryForGo(t *testing.T) {
	t.Run("HTTP", func(t *testing.T) { testSDK(t, false) })
	t.Run("gRPC", func(t *testing.T) { testSDK(t, true) })
}

func testSDK(t *testing.T, overGRPC bool) {
	t.Helper()
	dir := t.TempDir()
	b := startBoard(t, dir)
	address := func(b *board) string {
		if overGRPC {
			return b.otlp
		}
		return strings.TrimPrefix(b.url, "http://")
	}
	line := testenv.NewSwitch(t, address(b))
	var want []*shown
	for _, delta := range []bool{false, true} {
		r := &recorder{t: t, prefix: "cumulative", delta: delta, grpc: overGRPC, rnd: rand.New(rand.NewPCG(3, 4))}
		if delta {
			r.prefix = "delta"
		}
		r.start(line.Addr(), "one")
		if err := r.run(10); err != nil {
			t.Fatal(err)
		}
		if !delta { // The SDK does not send deltas again where there was no answer.
			b.program.Kill()
			_ = r.run(3)
			again := startBoard(t, dir)
			line.To(address(again))
			b.program, b.url, b.otlp, b.log = again.program, again.url, again.otlp, again.log
			r.delivered()
			// The same instance again, whose counters begin at zero.
			r.inFlightStarts()
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // A process takes longer to start than a millisecond, in which times are.
			r.start(line.Addr(), "one")
			_ = r.run(5)
			r.delivered()
			// The network is cut.
			line.To("127.0.0.1:1")
			cut := 2 * time.Second
			if testenv.Real() {
				cut = 20 * time.Second
			}
			for end := time.Now().Add(cut); time.Now().Before(end); {
				_ = r.run(1)
			}
			line.To(address(b))
			r.delivered()
		}
		want = append(want, otlpOracle(r.calls)...)
	}
	b.show(want)
	b.untilShown(want)
	b.untilKnown("cumulative.requests", []string{"req"}, []string{"Requests that came."})
	b.untilKnown("delta.latency_bucket", []string{"ms"}, []string{})
	b.untilKnown("delta.latency_count", []string{"1"}, []string{})
	var metrics string
	if err := b.ask(http.MethodGet, "/metrics", nil, &metrics); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "pulseboard_ingest_events_rejected_total") && strings.Contains(line, `format="otlp"`) {
			t.Error(line)
		}
	}
}

// inFlightStarts has the oracle forget what UpDownCounters stood at.
func (r *recorder) inFlightStarts() {
	stood := make(map[string]float64)
	for _, c := range r.calls {
		if c.Kind == "changes" {
			stood[c.Tags["host"]] += c.number()
		}
	}
	for host, v := range stood {
		r.say(".in_flight", "changes", host, -v)
	}
}

// The same of that for Python, whose program prints what it records.
func TestOpenTelemetryForPython(t *testing.T) {
	testenv.NeedReal(t)
	b := startBoard(t, t.TempDir())
	for _, temporality := range []string{"cumulative", "delta"} {
		cmd := exec.CommandContext(t.Context(), testenv.OpenTelemetry(), "testdata/otlp_sender.py", temporality, b.url+"/v1/metrics")
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		said, err := cmd.Output()
		if err != nil || complaints.Len() > 0 {
			t.Fatalf("%v: %s", err, complaints.String())
		}
		var calls []call
		for line := range strings.Lines(string(said)) {
			var c call
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			calls = append(calls, c)
		}
		want := otlpOracle(calls)
		if len(want) < 8 {
			t.Fatal(fmt.Sprint("the program has recorded ", len(want)))
		}
		b.dashboard, b.widgets = "", nil
		b.show(want)
		b.untilShown(want)
	}
}
