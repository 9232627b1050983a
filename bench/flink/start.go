package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"pulseboard/bench/broker"
	"pulseboard/internal/embedded"
	"pulseboard/pipeline/runners/flink/flinkapi"
)

// startRedis returns the address of an empty redis-server.
func (s *servers) startRedis(ctx context.Context) (string, error) {
	r, err := embedded.StartRedis(ctx, embedded.RedisConfig{Dir: filepath.Join(s.dir, "redis"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	s.closers = append(s.closers, func() { _ = r.Close() }) // It holds nothing of worth.
	if r.Kind() != embedded.RedisServer {
		return "", fmt.Errorf("redis-server is not on PATH: figures with %s would say nothing", r.Kind())
	}
	return r.Addr(), nil
}

// jobName is that of DefaultFlink, by which Flink's REST API finds the job.
const jobName = "pulseboard"

// startJob starts Flink and the job on it and returns the URL of Flink's REST API.
func (s *servers) startJob(ctx context.Context, o *options, kafka, redis string) (string, error) {
	job := []string{
		"--kafka", kafka, "--redis", redis, "--parallelism", fmt.Sprint(o.parallelism), "--slice", o.slice.String(),
		"--worker-metrics-addr", "127.0.0.1:0", "--worker-logs", filepath.Join(s.dir, "workers"),
	}
	job = append(job, strings.Fields(o.more)...)
	if o.taskManagers > 0 {
		return s.startCluster(ctx, o, job)
	}
	found := &restFinder{url: make(chan string, 1)}
	args := append([]string{
		"flink-local", "--flink-jars", filepath.Join(o.jars, "flink", "lib"), "--dir", filepath.Join(s.dir, "flink"), "--flink-heap", o.heap,
	}, job...)
	one, err := s.start("pipeline", o.pipeline, nil, found, args...)
	if err != nil {
		return "", err
	}
	var url string
	return url, one.until(ctx, "the job", func(context.Context) error {
		select {
		case url = <-found.url:
			return nil
		default:
			return fmt.Errorf("no line of its log names Flink's REST API")
		}
	})
}

// restFinder reads the URL of Flink's REST API from the log of pipeline flink-local.
type restFinder struct{ url chan string }

// Write gets whole lines.
func (r *restFinder) Write(line []byte) (int, error) {
	if m := regexp.MustCompile(`Flink has the job.* rest=(http\S+)`).FindSubmatch(line); m != nil {
		select {
		case r.url <- string(m[1]):
		default: // A second start: Flink began anew, which the sampling notices.
		}
	}
	return len(line), nil
}

// startCluster starts what deploy/flink describes, on this machine.
func (s *servers) startCluster(ctx context.Context, o *options, job []string) (string, error) {
	free, err := broker.Addresses(ctx, 5)
	if err != nil {
		return "", err
	}
	conf := filepath.Join(s.dir, "conf")
	if err := s.configure(filepath.Join(o.deploy, "flink-conf.yaml"), conf, portOf(free[0]), portOf(free[1])); err != nil {
		return "", err
	}
	env := []string{"FLINK_LIB=" + filepath.Join(o.jars, "flink", "lib"), "FLINK_CONF=" + conf}
	start := func(name string, args ...string) (*server, error) {
		return s.start(name, filepath.Join(o.deploy, "flink.sh"), env, nil, args...)
	}
	manager, err := start("JobManager", "jobmanager")
	if err != nil {
		return "", err
	}
	for i := range o.taskManagers {
		if _, err := start(fmt.Sprintf(taskManager+"%d", i+1), "taskmanager"); err != nil {
			return "", err
		}
	}
	jobs, err := start("job server", "jobserver", "--flink-master="+free[1], "--job-host=127.0.0.1", "--job-port="+portOf(free[2]),
		"--artifact-port="+portOf(free[3]), "--expansion-port="+portOf(free[4]), "--artifacts-dir="+filepath.Join(s.dir, "artifacts"))
	if err != nil {
		return "", err
	}
	url := "http://" + free[1]
	client := flinkapi.NewClient(url, "")
	err = manager.until(ctx, "Flink's TaskManagers", func(ctx context.Context) error {
		n, err := client.TaskManagers(ctx)
		if err == nil && n != o.taskManagers {
			err = fmt.Errorf("%d of %d", n, o.taskManagers)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	err = jobs.until(ctx, "Beam's job server", func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", free[2])
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		return "", err
	}
	submit, err := s.start("submit", o.pipeline, nil, nil, append([]string{"submit", "--jars-there", "--job-endpoint", free[2], "--rest", url}, job...)...)
	if err != nil {
		return "", err
	}
	s.all = s.all[:len(s.all)-1] // It ends when Flink has the job.
	<-submit.Done()
	if err := submit.Err(); !strings.Contains(err.Error(), "exit code 0") {
		return "", err
	}
	return url, nil
}

// configure writes the configuration that is deployed with what must differ where
// all processes share a machine. Of a key that stands twice the last counts.
func (s *servers) configure(from, to, rpc, rest string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(b), "/var/lib/flink", filepath.Join(s.dir, "state")) + fmt.Sprintf(`
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: %s
jobmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: %s
io.tmp.dirs: %s
`, rpc, rest, filepath.Join(s.dir, "tmp"))
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "flink-conf.yaml"), []byte(text), 0o600)
}
