package faults_test

import (
	"path/filepath"
	"testing"
	"time"

	"pulseboard/internal/testenv"
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
	for range 2 { // The one that leads is found by its death: the standby's changes nothing.
		for i, m := range cluster.JobManagers {
			r.fault("JobManager "+string(rune('1'+i))+" of 2: kill -9", func() { m.Kill() })
			m.Start()
			cluster.Ready()
		}
	}
	if now := o.job(); now.ID != began.ID {
		t.Errorf("the job is %s now, not %s", now.ID, began.ID)
	}
	r.finish()
}
