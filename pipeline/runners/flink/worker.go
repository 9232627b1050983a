package flink

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness/init" // The flags and the loop of a worker.
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/memory"
	"pulseboard/internal/profile"
	"pulseboard/internal/redisconn"
	"pulseboard/internal/service"
	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/flink/flinkapi"
	"pulseboard/results"
)

// A worker is this program, started by a TaskManager to run the DoFns of a job. Its arguments are the address of a
// provisioning service, which returns the options that Submit put into the job.

// workerOption is the pipeline option that holds workerOptions as JSON. Flink's web page shows all options, so they
// contain no secret.
const workerOption = "pulseboard_worker"

type workerOptions struct {
	Run       string             `json:"run"`
	Kafka     kafkaconn.Endpoint `json:"kafka"` // Like Redis without passwords.
	Topic     string             `json:"topic"`
	Redis     redisconn.Endpoint `json:"redis"`
	Lease     results.Lease      `json:"lease"`
	SliceMs   int64              `json:"slice_ms"`
	KeyGroups int                `json:"key_groups"`
	Metrics   string             `json:"metrics"`

	Edge service.Edge `json:"edge"` // Of Metrics.

	Logs     string `json:"logs"`
	Pprof    string `json:"pprof"`
	LogLevel string `json:"log_level"`

	StateBytes  int64    `json:"state_bytes"`
	BudgetShare float64  `json:"budget_share"`
	Hidden      []string `json:"hidden"`
}

const provisionFlag = "provision_endpoint"

// IsWorker reports whether these arguments are those that Flink starts a worker with.
func (*Runner) IsWorker(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(strings.TrimLeft(a, "-"), provisionFlag+"=") })
}

// RunWorker serves a TaskManager until that ends.
func (*Runner) RunWorker(ctx context.Context, args []string) error {
	provision := flag.String(provisionFlag, "", "")
	// Flink's runner passes this too; its value is taken from the provisioning service.
	if flag.Lookup("artifact_endpoint") == nil {
		flag.String("artifact_endpoint", "", "")
	}
	if err := flag.CommandLine.Parse(args); err != nil {
		return err
	}
	grpcx.Dial = dialWith(flinkapi.SecretOfEnvironment())
	id := flag.Lookup("id").Value.String()
	info, err := tools.ProvisionInfo(grpcx.WriteWorkerID(ctx, id), *provision)
	if err != nil {
		return fmt.Errorf("cannot ask %s what to do: %w", *provision, err)
	}
	o, err := readWorkerOptions(info.GetPipelineOptions())
	if err != nil {
		return err
	}
	log, err := workerLog(o, id)
	if err != nil {
		return err
	}
	options, err := tools.ProtoToJSON(info.GetPipelineOptions())
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"worker": "true", "options": options,
		"logging_endpoint": info.GetLoggingEndpoint().GetUrl(), "control_endpoint": info.GetControlEndpoint().GetUrl(),
	} {
		if value == "" {
			continue // Given as a flag.
		}
		if err := flag.Set(name, value); err != nil {
			return fmt.Errorf("cannot set the flag %s: %w", name, err)
		}
	}
	if c := info.GetRunnerCapabilities(); len(c) > 0 {
		if err := os.Setenv("RUNNER_CAPABILITIES", strings.Join(c, " ")); err != nil {
			return err
		}
	}
	if err := errors.Join(o.Kafka.Find(), o.Redis.Find()); err != nil {
		log.Error("a worker cannot begin", "error", err)
		return err
	}
	// How much of the memory group Java takes is not known, so the limit follows from --state-bytes.
	limit := memory.LimitHeap(memory.Process(o.StateBytes))
	memory.CollectLess()
	if err := equip(ctx, o, log); err != nil {
		return err
	}
	log.Info("a worker begins", "id", id, "run", o.Run, "heap", memory.Text(limit), "state", memory.Text(o.StateBytes))
	beam.Init() // In a worker it serves, and ends the process when the TaskManager is gone.
	return errors.New("the worker has left its TaskManager")
}

// dialWith is how the SDK connects to the TaskManager: as by default, and with a secret.
func dialWith(secret flinkapi.Secret) func(context.Context, string, time.Duration) (*grpc.ClientConn, error) {
	return func(ctx context.Context, addr string, timeout time.Duration) (*grpc.ClientConn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		//nolint:staticcheck // As the SDK does: it relies on being connected, and on the old way to read addresses.
		conn, err := grpc.DialContext(ctx, addr, grpc.WithBlock(), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithPerRPCCredentials(secret), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
		if err != nil {
			return nil, fmt.Errorf("cannot connect to the TaskManager at %s: %w", addr, err)
		}
		return conn, nil
	}
}

// equip gives the DoFns what they expect in their process.
func equip(ctx context.Context, o workerOptions, log *slog.Logger) error {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c := pipeline.Config{Log: log, Metrics: metrics}
	c.Kafka, c.Topic, c.Redis = o.Kafka, o.Topic, o.Redis
	c.Slice, c.KeyGroups = time.Duration(o.SliceMs)*time.Millisecond, o.KeyGroups
	c.StateBytes, c.BudgetShare = o.StateBytes, o.BudgetShare
	c.Hidden = o.Hidden
	if err := pipeline.RegisterMetrics(metrics); err != nil {
		return err
	}
	if _, err := profile.Open(o.Pprof, "worker"); err != nil { // To the end of the process.
		log.Error("profiles are not served", "error", err)
	}
	if o.Metrics != "" {
		if err := serveMetrics(ctx, o, metrics, log); err != nil {
			log.Error("metrics are not served", "error", err)
		}
	}
	// A worker that is started while Redis is away waits for it: without the
	// queries there is nothing to compute, and what is read meanwhile stays in Kafka.
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		err := pipeline.Attach(ctx, c, o.Run, o.Lease)
		if err == nil {
			return nil
		}
		log.Error("a worker cannot begin; trying again", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
	}
}

func readWorkerOptions(options *structpb.Struct) (o workerOptions, err error) {
	goOptions := options.GetFields()["beam:option:go_options:v1"].GetStructValue()
	text := goOptions.GetFields()["options"].GetStructValue().GetFields()[workerOption].GetStringValue()
	if text == "" {
		return o, errors.New("the job has no options for this worker: submit it with the same program, pipeline submit")
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return o, fmt.Errorf("cannot read the options of this worker: %w", err)
	}
	return o, nil
}

// workerLog writes to a file: Flink throws away what a worker prints. The file
// takes over descriptor 2 too, so that a panic is in it.
func workerLog(o workerOptions, id string) (*slog.Logger, error) {
	if err := os.MkdirAll(o.Logs, 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the workers' logs: %w", err)
	}
	path := filepath.Join(o.Logs, fmt.Sprintf("pulseboard-worker-%d.log", os.Getpid()))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the log of a worker: %w", err)
	}
	if err := redirect(int(file.Fd()), int(os.Stderr.Fd())); err != nil {
		return nil, fmt.Errorf("cannot redirect the standard error to %s: %w", path, err)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	log := service.Logger(os.Stderr, level, "worker").With("worker", id)
	slog.SetDefault(log)
	return log, nil
}

// How many addresses after the one that is named are tried: workers of several
// TaskManagers may share a machine.
const metricsPorts = 16

func serveMetrics(ctx context.Context, o workerOptions, metrics *prometheus.Registry, log *slog.Logger) error {
	server, err := service.NewServer(service.ServerConfig{Edge: o.Edge, Metrics: pipeline.OfServing(o.Metrics, metrics), Log: log})
	if err != nil {
		return err
	}
	ln, err := listenNear(ctx, o.Metrics)
	if err != nil {
		return err
	}
	log.Info("metrics are served", "addr", ln.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("/metrics", service.Metrics(metrics))
	mux.Handle("/", service.Nothing("there is /metrics"))
	go func() {
		if err := server.Serve(ctx, ln, service.Strict(mux)); err != nil {
			log.Error("metrics are no longer served", "error", err)
		}
	}()
	return nil
}

func listenNear(ctx context.Context, addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if strings.HasPrefix(addr, "unix:") || err != nil || port == "0" {
		return pipeline.Listen(ctx, addr)
	}
	first, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return nil, fmt.Errorf("--worker-metrics-addr is %q: %w", addr, err)
	}
	var lc net.ListenConfig
	for p := first; p < first+metricsPorts; p++ {
		ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(p)))
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return ln, err
		}
	}
	return nil, fmt.Errorf("--worker-metrics-addr is %q: it and the next %d ports are in use", addr, metricsPorts-1)
}
