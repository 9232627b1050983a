package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pulseboard/internal/flink"
)

// FlinkCluster is a Flink of several processes, started as deploy/ starts them.
type FlinkCluster struct {
	JobManager   *Server
	TaskManagers []*Server
	JobServer    *Server

	jobs  string
	rest  string
	state string
}

// StartFlink starts a JobManager, TaskManagers and Beam's job server, and waits for all of them.
func StartFlink(t *testing.T, taskManagers int) *FlinkCluster {
	t.Helper()
	deploy := filepath.Join(root(t), "deploy", "flink")
	dir := t.TempDir()
	p := Ports(t, 5)
	f := &FlinkCluster{jobs: address(p + 2), rest: "http://" + address(p+1), state: filepath.Join(dir, "state")}
	// What must differ where all processes share a machine. Of a key that stands twice the last counts.
	conf := filepath.Join(dir, "conf")
	f.configure(t, filepath.Join(deploy, "flink-conf.yaml"), conf, fmt.Sprintf(`
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: %d
jobmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: %d
io.tmp.dirs: %s
`, p, p+1, filepath.Join(dir, "tmp")))
	start := func(name, role string, args ...string) *Server {
		s := newServer(t, dir, name, filepath.Join(deploy, "flink.sh"), append([]string{role}, args...)...)
		s.config.Env = append(os.Environ(), "FLINK_LIB="+FlinkJars(), "FLINK_CONF="+conf)
		s.Start()
		return s
	}
	f.JobManager = start("jobmanager", "jobmanager")
	for i := range taskManagers {
		f.TaskManagers = append(f.TaskManagers, start(fmt.Sprintf("taskmanager-%d", i+1), "taskmanager"))
	}
	f.JobServer = start("jobserver", "jobserver", "--flink-master="+address(p+1), "--job-host=127.0.0.1", fmt.Sprintf("--job-port=%d", p+2),
		fmt.Sprintf("--artifact-port=%d", p+3), fmt.Sprintf("--expansion-port=%d", p+4), "--artifacts-dir="+filepath.Join(dir, "artifacts"))
	f.Ready()
	return f
}

// configure writes the configuration that is deployed, with its folders below
// that of the test, and other lines in place of those of the same keys.
func (f *FlinkCluster) configure(t *testing.T, from, to, lines string) {
	t.Helper()
	b, err := os.ReadFile(from) //nolint:gosec // Of this repository.
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "/var/lib/flink", f.state) + lines
	if err := os.MkdirAll(to, 0o750); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(to, "flink-conf.yaml"), text)
}

// Ready waits until all processes answer.
func (f *FlinkCluster) Ready() {
	client := flink.NewClient(f.rest, "")
	f.JobManager.until("Flink's TaskManagers", func(ctx context.Context) error {
		n, err := client.TaskManagers(ctx)
		if err == nil && n != len(f.TaskManagers) {
			err = fmt.Errorf("%d of %d", n, len(f.TaskManagers))
		}
		return err
	})
	f.JobServer.until("Beam's job server", func(ctx context.Context) error { return dial(ctx, f.jobs) })
}

// Endpoint returns the address of the job server, host:port.
func (f *FlinkCluster) Endpoint() string { return f.jobs }

// REST returns the URL of Flink's REST API.
func (f *FlinkCluster) REST() string { return f.rest }

// State returns the folder of checkpoints and savepoints.
func (f *FlinkCluster) State() string { return f.state }
