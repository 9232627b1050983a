// Package testenv gives tests their servers: in process, or, with
// PULSEBOARD_REAL set to a folder of jars (make test-real sets it), real ones as
// child processes. The tests are the same.
//
//	kafka/lib       Kafka 4.1
//	flink/lib       Flink 1.19 with Beam's runner and the class of deploy/flink
//	librdkafka/bin  Python with confluent-kafka
//	statsd/bin      Python with statsd and datadog
//	opentelemetry/bin  Python with the SDK of OpenTelemetry
//	connect/lib     Kafka Connect 4.1
//	otelkafka       the program of e2e/otelkafka
//
// Real servers are killed with the test, and when its process is. The ends of
// their logs are shown when it fails; PULSEBOARD_LOGS names a folder that keeps them.
package testenv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/internal/embedded"
)

// folder of the jars of real servers, "" = tests use those in process.
func folder() string { return os.Getenv("PULSEBOARD_REAL") }

// Real reports whether tests run on real servers.
func Real() bool { return folder() != "" }

// NeedReal leaves a test out that makes no sense on servers in process.
func NeedReal(t *testing.T) {
	t.Helper()
	if !Real() {
		t.Skip("it needs real servers: run make test-real")
	}
}

// FlinkJars returns the folder of Flink's jars.
func FlinkJars() string { return filepath.Join(folder(), "flink", "lib") }

// Librdkafka returns the path of a Python that has confluent-kafka.
func Librdkafka() string { return filepath.Join(folder(), "librdkafka", "bin", "python") }

// PrometheusAgent returns the path of the agent of e2e/prometheus.
func PrometheusAgent() string { return filepath.Join(folder(), "prometheus", "agent") }

// OpenTelemetry returns the path of a Python that has its SDK.
func OpenTelemetry() string { return filepath.Join(folder(), "opentelemetry", "bin", "python") }

// StatsD returns the path of a Python that has clients of StatsD and of Datadog.
func StatsD() string { return filepath.Join(folder(), "statsd", "bin", "python") }

// Influx returns the path of a Python that has clients of InfluxDB, and the folder of those for Node.
func Influx() (python, node string) {
	return filepath.Join(folder(), "influx", "bin", "python"), filepath.Join(folder(), "influx", "node_modules")
}

// Telegraf returns the path of Telegraf, with few of its plugins.
func Telegraf() string { return filepath.Join(folder(), "telegraf", "telegraf") }

// KafkaExporter returns the path of the program of e2e/otelkafka.
func KafkaExporter() string { return filepath.Join(folder(), "otelkafka", "otelkafka") }

// ConnectJars returns the class path of Kafka Connect.
func ConnectJars() string { return filepath.Join(folder(), "connect", "lib", "*") }

// KafkaJars returns the class path of Kafka, its own client included.
func KafkaJars() string { return filepath.Join(folder(), "kafka", "lib", "*") }

// Topic is made before a test begins.
type Topic struct {
	Name       string
	Partitions int

	// LogAppendTime lets the broker stamp records. The one in process takes the setting and does nothing about it.
	LogAppendTime bool
}

// Kafka returns the address of a broker with these topics.
func Kafka(t *testing.T, topics ...Topic) string {
	t.Helper()
	if Real() {
		// Nobody kills it: on a busy machine it must not be taken for dead.
		return startKafka(t, 1, "broker.session.timeout.ms=60000\n", nil, topics).Addr(0)
	}
	options := []kfake.Opt{kfake.NumBrokers(1)}
	for _, topic := range topics {
		if topic.LogAppendTime {
			t.Fatalf("topic %s: only a real broker stamps records", topic.Name)
		}
		options = append(options, kfake.SeedTopics(int32(topic.Partitions), topic.Name))
	}
	c, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// Redis returns the address of an empty Redis.
func Redis(t *testing.T) string {
	t.Helper()
	if Real() {
		return StartRedis(t).Addr()
	}
	return miniredis.RunT(t).Addr()
}

// Server is a child process that a test ends, stops and starts again.
type Server struct {
	t      *testing.T
	config embedded.ChildConfig
	child  *embedded.Child
	log    *os.File
}

func newServer(t *testing.T, dir, name, path string, args ...string) *Server {
	t.Helper()
	logs := dir
	if keep := os.Getenv("PULSEBOARD_LOGS"); keep != "" {
		logs = keep
	}
	log, err := os.OpenFile(filepath.Join(logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, log: log, config: embedded.ChildConfig{Name: name, Path: path, Args: args, Dir: dir, Output: log}}
	t.Cleanup(func() {
		s.Kill()
		_ = log.Close()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, pageOf(log.Name()))
		}
	})
	return s
}

func pageOf(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return Page(string(b))
}

// Start starts it, also again after Kill.
func (s *Server) Start() {
	s.t.Helper()
	var err error
	if s.child, err = embedded.StartChild(s.config); err != nil {
		s.t.Fatal(err)
	}
}

// Pid returns the process id.
func (s *Server) Pid() int { return s.child.Pid() }

// Kill is kill -9, and waits for the end.
func (s *Server) Kill() {
	if s.child != nil {
		s.child.Kill()
	}
}

// until is Until for as long as the server runs.
func (s *Server) until(what string, ok func(context.Context) error) {
	s.t.Helper()
	Until(s.t, what, func(ctx context.Context) error {
		select {
		case <-s.child.Done():
			s.t.Fatalf("waiting for %s: %v", what, s.child.Err())
		default:
		}
		return ok(ctx)
	})
}

// Ports takes free ports in a row. They lie below those that the kernel gives to
// whoever names none, which else would take one again before its server has it; so
// does that of a Redis Cluster's bus, 10,000 higher.
func Ports(t *testing.T, n int) (first int) {
	t.Helper()
	const lowest, highest = 10_000, 22_000
	var lc net.ListenConfig
	for range 1000 {
		first = lowest + rand.IntN(highest-lowest-n) // Chance is all that it is for.
		free := true
		for p := first; free && p < first+n; p++ {
			ln, err := lc.Listen(t.Context(), "tcp", address(p))
			if free = err == nil; free {
				defer ln.Close() //nolint:errcheck // It was only taken to know that it is free.
			}
		}
		if free {
			return first
		}
	}
	t.Fatalf("there are no %d free ports in a row from %d to %d", n, lowest, highest)
	return 0
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// root returns the folder of the module.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no go.mod is above this test")
	return ""
}

// dial waits for nothing: it reports whether something listens.
func dial(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
