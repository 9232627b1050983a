package ingest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
	"pulseboard/internal/auth"
	"pulseboard/internal/service"
)

// rpcNode is a node that takes OTLP over gRPC, and how one speaks to it.
type rpcNode struct {
	*node

	address string
	client  collector.MetricsServiceClient
	conn    *grpc.ClientConn
	end     func() // Ends the server of gRPC, and waits for that.
}

func startRPC(t *testing.T, edge service.Edge, change func(*ingest.Config)) *rpcNode {
	t.Helper()
	n := &rpcNode{node: start(t, change)}
	server, err := service.NewServer(service.ServerConfig{Edge: edge, Drain: time.Minute, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := service.Listen(t.Context(), "--otlp-grpc", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.address = ln.Addr().String()
	serving, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.ServeRPC(serving, ln, n.service.OTLPHandler()) }()
	n.end = func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ended <- nil
	}
	secure := insecure.NewCredentials()
	if edge.Cert != "" {
		pem, err := os.ReadFile(edge.Cert)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		secure = credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	}
	if n.conn, err = grpc.NewClient(n.address, grpc.WithTransportCredentials(secure)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.conn.Close()
		n.end()
	})
	n.client = collector.NewMetricsServiceClient(n.conn)
	return n
}

// gauges is a request with a data point of each name.
func gauges(names ...string) *collector.ExportMetricsServiceRequest {
	var all []*metrics.Metric
	for i, name := range names {
		point := &metrics.NumberDataPoint{TimeUnixNano: uint64(time.Now().UnixNano()), Value: &metrics.NumberDataPoint_AsInt{AsInt: int64(i)}}
		all = append(all, &metrics.Metric{Name: name, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{point}}}})
	}
	return &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: all}}}}}
}

// wants says what is wrong with an error: it must have the code, a part of the message and, where it may be sent again, RetryInfo.
func wants(err error, code codes.Code, text string, again time.Duration) error {
	st := status.Convert(err)
	wait := time.Duration(0)
	for _, d := range st.Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			wait = r.GetRetryDelay().AsDuration()
		}
	}
	if st.Code() != code || !strings.Contains(st.Message(), text) || wait != again {
		return fmt.Errorf("it is %w, again after %v; want %v, %q, %v", err, wait, code, text, again)
	}
	return nil
}

// counted is a counter of the node, with these labels.
func (n *node) counted(name string, labels ...string) (sum float64) {
	n.t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetName()+"="+l.GetValue())
			}
			if f.GetName() == name && !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(has, l) }) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// What is sent over gRPC is stored as it is over HTTP, answered and counted as it.
func TestOTLPOverGRPC(t *testing.T) {
	n := startRPC(t, service.Edge{}, nil)
	for i, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
		answer, err := n.client.Export(t.Context(), gauges("a", "b", "c"), opts...)
		if err != nil || answer.GetPartialSuccess() != nil {
			t.Fatal(answer, err)
		}
		if got := len(n.stored()); got != 3*(i+1) {
			t.Errorf("%d records are stored", got)
		}
	}
	if answer, err := n.client.Export(t.Context(), &collector.ExportMetricsServiceRequest{}); err != nil || answer.GetPartialSuccess() != nil {
		t.Error("nothing:", answer, err)
	}
	answer, err := n.client.Export(t.Context(), gauges("good", "bad\x01"))
	if p := answer.GetPartialSuccess(); err != nil || p.GetRejectedDataPoints() != 1 || !strings.Contains(p.GetErrorMessage(), "metric_name_invalid") {
		t.Error(answer, err)
	}
	_, err = n.client.Export(t.Context(), gauges("b\u00e4d\x01"))
	if err := wants(err, codes.InvalidArgument, "1 of 1 data points are refused: \"b\u00e4d\\x01\": metric_name_invalid", 0); err != nil {
		t.Error(err)
	}
	var nothing collector.ExportMetricsServiceResponse
	if err := wants(n.conn.Invoke(t.Context(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export", gauges("a"), &nothing), codes.Unimplemented, "TraceService/Export\" is nothing here", 0); err != nil {
		t.Error(err)
	}
	for labels, want := range map[string]float64{"200": 4, "400": 1, "404": 1} {
		if got := n.counted("pulseboard_ingest_requests_total", "status="+labels); got != want {
			t.Errorf("%v requests of status %s are counted, want %v", got, labels, want)
		}
	}
	if got := n.counted("pulseboard_ingest_events_accepted_total", "format=otlp"); got != 7 {
		t.Errorf("%v events are counted", got)
	}
	health, err := grpc_health_v1.NewHealthClient(n.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "x"})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Error(health, err)
	}
}

func TestTokensOverGRPC(t *testing.T) {
	n := startRPC(t, service.Edge{}, func(c *ingest.Config) { c.Guard = testenv.Guard(t, auth.Ingest, auth.View) })
	with := func(value string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", value)
	}
	for _, c := range []struct {
		ctx  context.Context
		code codes.Code
		text string
	}{
		{t.Context(), codes.Unauthenticated, "token"},
		{with("Bearer other"), codes.Unauthenticated, "token"},
		{with("Bearer view"), codes.PermissionDenied, "scope"},
		{with("Bearer ingest"), codes.OK, ""},
	} {
		_, err := n.client.Export(c.ctx, gauges("a"))
		if err := wants(err, c.code, c.text, 0); err != nil {
			t.Error(err)
		}
	}
	if _, err := grpc_health_v1.NewHealthClient(n.conn).Check(t.Context(), new(grpc_health_v1.HealthCheckRequest)); err != nil {
		t.Error(err)
	}
	if got := len(n.stored()); got != 1 {
		t.Errorf("%d records are stored", got)
	}
}

// With the certificate of the HTTP port: HTTP/2 alone is offered.
func TestGRPCOverTLS(t *testing.T) {
	made := testenv.NewAuthority(t)
	cert := made.Issue(t, "server", nil)
	n := startRPC(t, service.Edge{Cert: cert.Cert, Key: cert.Key}, nil)
	if _, err := n.client.Export(t.Context(), gauges("a"), grpc.UseCompressor(gzip.Name)); err != nil {
		t.Fatal(err)
	}
	old := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)}}
	old.Transport.(*http.Transport).Protocols.SetHTTP1(true)
	if res, err := old.Get("https://" + n.address + "/"); err == nil {
		_ = res.Body.Close()
		t.Error("HTTP/1.1 is answered over TLS", res.Status)
	}
}

// What is too large or cannot be held is refused, and only the latter says that it may be sent again, and when.
func TestLimitsOverGRPC(t *testing.T) {
	held, release := make(chan struct{}, 1), make(chan struct{})
	n := startRPC(t, service.Edge{}, func(c *ingest.Config) { c.MaxBody, c.MaxPending, c.MaxEvents = 2000, 2000, 20 })
	n.kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		n.kafka.KeepControl()
		held <- struct{}{}
		n.kafka.SleepControl(func() { <-release })
		return nil, nil, false
	})
	_, err := n.client.Export(t.Context(), gauges(strings.Repeat("x", 3000)))
	if err := wants(err, codes.ResourceExhausted, "more than 2000 bytes", 0); err != nil {
		t.Error(err)
	}
	_, err = n.client.Export(t.Context(), gauges(strings.Repeat("x", 1<<20)), grpc.UseCompressor(gzip.Name))
	if err := wants(err, codes.ResourceExhausted, "more than 2000 bytes", 0); err != nil {
		t.Error(err)
	}
	_, err = n.client.Export(t.Context(), gauges(strings.Split(strings.Repeat("m ", 21), " ")[:21]...))
	if err := wants(err, codes.ResourceExhausted, "more than 20 data points", 0); err != nil {
		t.Error(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := n.client.Export(t.Context(), gauges("a"))
		answered <- err
	}()
	<-held
	// A body over HTTP holds what there is, of which those over gRPC get nothing.
	full, slow := io.Pipe()
	over := make(chan struct{})
	go func() {
		defer close(over)
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url, full)
		req.Header.Set("Content-Type", "application/json")
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	_, _ = slow.Write(bytes.Repeat([]byte(" "), 1500))
	n.until("a request is refused, for the memory is taken", func() bool {
		_, err := n.client.Export(t.Context(), gauges(strings.Repeat("x", 900)))
		return wants(err, codes.Unavailable, "send the request again later", time.Second) == nil
	})
	if n.counted("pulseboard_ingest_requests_total", "status=429") == 0 {
		t.Error("no request of status 429 is counted")
	}
	_ = slow.Close()
	<-over
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// Without Kafka's acknowledgement a request may be sent again, and health says so.
func TestKafkaAwayOverGRPC(t *testing.T) {
	n := startRPC(t, service.Edge{}, func(c *ingest.Config) { c.DeliveryTimeout = 300 * time.Millisecond })
	n.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		n.kafka.KeepControl()
		return refuseProduce(req.(*kmsg.ProduceRequest)), nil, true
	})
	_, err := n.client.Export(t.Context(), gauges("a"))
	if err := wants(err, codes.Unavailable, "Kafka did not acknowledge 1 of 1 events", 2*time.Second); err != nil {
		t.Error(err)
	}
	health, err := grpc_health_v1.NewHealthClient(n.conn).Check(t.Context(), new(grpc_health_v1.HealthCheckRequest))
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Error(health, err)
	}
}

// At the end a request under way is answered, and those that come later are not taken.
func TestEndOfGRPC(t *testing.T) {
	n := startRPC(t, service.Edge{}, nil)
	held, release := make(chan struct{}, 1), make(chan struct{})
	n.kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		held <- struct{}{}
		n.kafka.SleepControl(func() { <-release })
		return nil, nil, false
	})
	answered := make(chan error, 1)
	go func() {
		_, err := n.client.Export(t.Context(), gauges("a"))
		answered <- err
	}()
	<-held
	ended := make(chan struct{})
	go func() { n.end(); close(ended) }()
	n.until("the port is closed", func() bool {
		c, err := grpc.NewClient(n.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // Nothing is to be done about it.
		_, err = collector.NewMetricsServiceClient(c).Export(t.Context(), &collector.ExportMetricsServiceRequest{})
		return status.Code(err) == codes.Unavailable
	})
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-ended
}

// Requests that no library sends: each has its status, and none is stored.
func TestBrokenFrames(t *testing.T) {
	n := startRPC(t, service.Edge{}, nil)
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &p}}
	t.Cleanup(client.CloseIdleConnections)
	const export = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
	for _, c := range []struct{ name, method, path, kind, encoding, body, code, text string }{
		{"no message", "POST", export, "application/grpc", "", "", "3", "the request has no message"},
		{"half a head", "POST", export, "application/grpc", "", "\x00\x00", "3", "the request has no message"},
		{"less than it says", "POST", export, "application/grpc", "", "\x00\x00\x00\x00\x05ab", "3", "unexpected EOF"},
		{"two messages", "POST", export, "application/grpc", "", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "3", "more follows its message"},
		{"no such flag", "POST", export, "application/grpc+proto", "", "\x07\x00\x00\x00\x00", "3", "and this one with 7"},
		{"unknown compression", "POST", export, "application/grpc", "br", "\x01\x00\x00\x00\x00", "12", `grpc-encoding is "br": it must be gzip`},
		{"compression that is not told", "POST", export, "application/grpc", "", "\x01\x00\x00\x00\x00", "12", "it must be gzip"},
		{"no gzip", "POST", export, "application/grpc", "gzip", "\x01\x00\x00\x00\x03abc", "3", "the body is not gzip"},
		{"no protocol buffers", "POST", export, "application/grpc", "", "\x00\x00\x00\x00\x02\x0a\x05", "3", "is not an ExportMetricsServiceRequest"},
		{"a length of 4 GiB", "POST", export, "application/grpc", "", "\x00\xff\xff\xff\xffabc", "8", "more than 16777216 bytes"},
		{"JSON", "POST", export, "application/json", "", "{}", "12", "it must be application/grpc"},
		{"gRPC of JSON", "POST", export, "application/grpc+json", "", "\x00\x00\x00\x00\x02{}", "12", "it must be application/grpc"},
		{"a page", "GET", export, "", "", "", "12", "is nothing here"},
		{"what a page asks before", "OPTIONS", export, "", "", "", "12", "is nothing here"},
		{"another path", "POST", "/v1/metrics", "application/x-protobuf", "", "", "12", "is nothing here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+n.address+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.kind)
			req.Header.Set("Grpc-Encoding", c.encoding)
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || res.StatusCode != http.StatusOK || len(text) > 0 || res.Header.Get("Content-Type") != "application/grpc" ||
				res.Trailer.Get("Grpc-Status") != c.code || !strings.Contains(res.Trailer.Get("Grpc-Message"), c.text) {
				t.Errorf("%v %v %q %v, trailers %v", res.StatusCode, res.Header, text, err, res.Trailer)
			}
		})
	}
	if res, err := http.Get("http://" + n.address + "/"); err == nil {
		_ = res.Body.Close()
		t.Error("HTTP/1.1 is answered", res.Status)
	}
	if got := n.stored(); len(got) > 0 {
		t.Errorf("stored: %+v", got)
	}
}
