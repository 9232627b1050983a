package testenv

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pulseboard/pipeline/runners/flink/flinkapi"
)

// FlinkCluster is a Flink of several processes, started as deploy/ starts them.
type FlinkCluster struct {
	JobManager   *Server // The first one.
	JobManagers  []*Server
	TaskManagers []*Server
	JobServer    *Server // nil in application mode.
	ZooKeeper    *Server // Where there are several JobManagers.

	jobs  string
	rests []string
	state string
}

// FlinkSize says how many processes a Flink has.
type FlinkSize struct {
	TaskManagers int
	Slots        int    // Of each TaskManager; 0 = 2.
	JobManagers  int    // With more than one ZooKeeper says who leads; 0 = 1.
	Settings     string // Further lines of flink-conf.yaml, in place of those of the same keys.
	// Application writes the job, given the addresses of Flink's REST API: JobManagers are of application mode
	// then, and there is no job server.
	Application func(rest string) []string
}

// StartFlink starts one JobManager, TaskManagers and Beam's job server, and waits for all of them.
func StartFlink(t *testing.T, taskManagers int) *FlinkCluster {
	t.Helper()
	return StartFlinkOf(t, FlinkSize{TaskManagers: taskManagers})
}

// StartFlinkOf is StartFlink of any size.
func StartFlinkOf(t *testing.T, size FlinkSize) *FlinkCluster {
	t.Helper()
	size.JobManagers, size.Slots = max(1, size.JobManagers), cmp.Or(size.Slots, 2)
	deploy := filepath.Join(root(t), "deploy", "flink")
	dir := t.TempDir()
	p := Ports(t, 4+2*size.JobManagers)
	rpc := func(i int) int { return p + 4 + 2*i }
	f := &FlinkCluster{jobs: address(p), state: filepath.Join(dir, "state")}
	// What must differ where all processes share a machine. Of a key that stands twice the last counts.
	conf := filepath.Join(dir, "conf")
	lines := fmt.Sprintf(`
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: %d
jobmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: %d
io.tmp.dirs: %s
taskmanager.numberOfTaskSlots: %d
`, rpc(0), rpc(0)+1, filepath.Join(dir, "tmp"), size.Slots)
	if size.JobManagers > 1 {
		lines += fmt.Sprintf(`
high-availability.type: zookeeper
high-availability.zookeeper.quorum: 127.0.0.1:%d
high-availability.storageDir: file://%s/ha
high-availability.cluster-id: /pulseboard
high-availability.zookeeper.client.session-timeout: 3000
`, p+3, f.state)
	}
	f.configure(t, filepath.Join(deploy, "flink-conf.yaml"), conf, lines+size.Settings)
	start := func(name, role string, args ...string) *Server {
		s := newServer(t, dir, name, filepath.Join(deploy, "flink.sh"), append([]string{role}, args...)...)
		s.config.Env = append(os.Environ(), "FLINK_LIB="+FlinkJars(), "FLINK_CONF="+conf, "FLINK_STATE="+filepath.Join(dir, "rocksdb", name))
		s.Start()
		return s
	}
	if size.JobManagers > 1 {
		write(t, filepath.Join(conf, "zoo.cfg"), fmt.Sprintf("tickTime=1000\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n", filepath.Join(dir, "zk"), p+3))
		f.ZooKeeper = start("zookeeper", "zookeeper")
		f.ZooKeeper.until("ZooKeeper", func(ctx context.Context) error { return dial(ctx, address(p+3)) })
	}
	for i := range size.JobManagers {
		f.rests = append(f.rests, "http://"+address(rpc(i)+1))
	}
	role, job := "jobmanager", []string(nil)
	if size.Application != nil {
		role, job = "application", append([]string{"--"}, size.Application(f.REST())...)
	}
	for i := range size.JobManagers {
		f.JobManagers = append(f.JobManagers, start(fmt.Sprintf("jobmanager-%d", i+1), role, append([]string{
			fmt.Sprintf("-Djobmanager.rpc.port=%d", rpc(i)),
			fmt.Sprintf("-Dhigh-availability.jobmanager.port=%d", rpc(i)), fmt.Sprintf("-Drest.port=%d", rpc(i)+1), fmt.Sprintf("-Drest.bind-port=%d", rpc(i)+1),
		}, job...)...))
	}
	f.JobManager = f.JobManagers[0]
	for i := range size.TaskManagers {
		f.TaskManagers = append(f.TaskManagers, start(fmt.Sprintf("taskmanager-%d", i+1), "taskmanager"))
	}
	if size.Application == nil {
		f.JobServer = start("jobserver", "jobserver", "--flink-master="+address(rpc(0)+1), "--job-host=127.0.0.1", fmt.Sprintf("--job-port=%d", p),
			fmt.Sprintf("--artifact-port=%d", p+1), fmt.Sprintf("--expansion-port=%d", p+2), "--artifacts-dir="+filepath.Join(dir, "artifacts"))
	}
	f.showFailures(t)
	f.Ready()
	return f
}

// showFailures shows why the jobs of a test that failed did: the ends of Flink's logs are full of what followed.
func (f *FlinkCluster) showFailures(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		client := flinkapi.NewClient(f.REST(), "")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // That of the test has ended.
		defer cancel()
		jobs, err := client.Jobs(ctx)
		if err != nil {
			t.Logf("Flink does not say why its jobs failed: %v", err)
		}
		for _, j := range jobs {
			why, err := client.Failure(ctx, j.ID)
			t.Logf("job %s is %s, its last failure is: %.3000s (%v)", j.Name, j.State, why, err)
		}
	})
}

// configure writes the configuration that is deployed, with its folders below
// that of the test, and other lines in place of those of the same keys.
func (f *FlinkCluster) configure(t *testing.T, from, to, lines string) {
	t.Helper()
	b, err := os.ReadFile(from)
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
	client := flinkapi.NewClient(f.REST(), "")
	f.JobManager.until("Flink's TaskManagers", func(ctx context.Context) error {
		n, err := client.TaskManagers(ctx)
		if err == nil && n != len(f.TaskManagers) {
			err = fmt.Errorf("%d of %d", n, len(f.TaskManagers))
		}
		return err
	})
	if f.JobServer != nil {
		f.JobServer.until("Beam's job server", func(ctx context.Context) error { return dial(ctx, f.jobs) })
	}
}

// Endpoint returns the address of the job server, host:port.
func (f *FlinkCluster) Endpoint() string { return f.jobs }

// REST returns the URLs of Flink's REST API, as --rest takes them.
func (f *FlinkCluster) REST() string { return strings.Join(f.rests, ",") }

// State returns the folder of checkpoints and savepoints.
func (f *FlinkCluster) State() string { return f.state }
