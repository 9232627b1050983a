package faults_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
	"pulseboard/pipeline/runners/flink/flinkapi"
)

// A cluster, with three brokers: each acknowledged event is counted once in
// every window that holds it, whatever is killed.
func TestClusterLosesNothing(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 3, topics()...)
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	cluster := testenv.StartFlink(t, 2)
	logs := filepath.Join(t.TempDir(), "log")
	log := new(testenv.Buffer)
	path := testenv.Build(t, "pipeline")
	args := []string{
		"submit", "--kafka", strings.Join(kafka.Addrs(), ","), "--redis", server.Addr(), "--job-endpoint", cluster.Endpoint(), "--rest", cluster.REST(),
		"--parallelism", "2", "--jars-there", "--checkpoint-interval", "3s", "--worker-logs", logs, "--worker-metrics-addr", "127.0.0.1:0", "--keep", "--savepoint", cluster.State(),
	}
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 100*time.Millisecond)}
	showLogs(t, log, logs)
	client := testenv.Start(t, log, path, args...)
	r.current("the start")

	for i, m := range cluster.TaskManagers {
		worker := func() int { return testenv.Child(m.Pid(), "--provision_endpoint") }
		r.fault(fmt.Sprintf("worker of TaskManager %d: kill -9", i+1), func() { signal(t, worker(), syscall.SIGKILL) })
		r.fault(fmt.Sprintf("TaskManager %d: kill -9", i+1), func() { m.Kill(); m.Start() })
	}
	r.fault("job server: kill -9", func() { cluster.JobServer.Kill(); cluster.JobServer.Start() })
	r.fault("submitting client: kill -9", func() { client.Kill(); client = testenv.Start(t, log, path, args...) })
	o := &operator{t: t, path: path, rest: cluster.REST(), log: log}
	before := o.job().ID
	r.fault("JobManager: kill -9", func() {
		cluster.JobManager.Kill()
		cluster.JobManager.Start()
		// TaskManagers go on with the old job until they miss its heartbeats: only then anything is late.
		o.awaitJob("the job to be submitted again", func(j flinkapi.Job) bool { return j.ID != before })
	})
	for i := range kafka.Addrs() {
		r.fault(fmt.Sprintf("broker %d of 3: kill -9", i+1), func() { kafka.Broker(i).Kill() })
		r.fault(fmt.Sprintf("broker %d of 3: back", i+1), func() { kafka.Restart(i) })
	}
	r.finish()
}
