package faults_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
	"pulseboard/pipeline/runners/flink/flinkapi"
)

// Of two JobManagers the leading one is killed, and comes back; then the other one. The job is the
// same one all the time: nobody submits anything, and --keep waits while there is no leader.
func TestLeadersAreKilled(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 1, topics()...)
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	cluster := testenv.StartFlinkOf(t, testenv.FlinkSize{JobManagers: 2, TaskManagers: 1})
	logs := filepath.Join(t.TempDir(), "log")
	log := new(testenv.Buffer)
	o := &operator{t: t, path: testenv.Build(t, "pipeline"), rest: cluster.REST(), log: log}
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 100*time.Millisecond)}
	showLogs(t, log, logs)
	testenv.Start(t, log, o.path, "submit", "--kafka", kafka.Addr(0), "--redis", server.Addr(), "--job-endpoint", cluster.Endpoint(), "--rest", cluster.REST(),
		"--jars-there", "--checkpoint-interval", "3s", "--worker-logs", logs, "--worker-metrics-addr", "127.0.0.1:0", "--keep", "--savepoint", cluster.State())
	r.current("the start")
	o.checkpoint()
	began := o.job()
	led := 0
	for range 2 {
		for i, m := range cluster.JobManagers {
			name := "the standby: kill -9"
			r.fault(fmt.Sprintf("JobManager %d of 2: kill -9", i+1), func() {
				m.Kill()
				// The other one asks the leader: without an answer it was that which was killed.
				if _, err := o.find(); err != nil {
					led++
					name = "the leader: kill -9"
					o.awaitJob("the other one to lead", func(j flinkapi.Job) bool { return j.ID == began.ID })
				}
			})
			t.Log(name)
			m.Start()
			cluster.Ready()
		}
	}
	if led < 3 {
		t.Errorf("%d of 4 JobManagers that were killed led", led)
	}
	if now := o.job(); now.ID != began.ID {
		t.Errorf("the job is %s now, not %s", now.ID, began.ID)
	}
	r.finish()
}
