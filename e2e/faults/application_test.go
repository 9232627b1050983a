package faults_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
	"pulseboard/pipeline/runners/flink/flinkapi"
)

// In application mode nobody submits the job: a JobManager that begins to lead has it written. Of one alone the job
// goes on from the newest checkpoint; of several it goes on as it is, and is not begun a second time.
func TestApplicationMode(t *testing.T) {
	testenv.NeedReal(t)
	for _, managers := range []int{1, 2} {
		t.Run(fmt.Sprintf("JobManagers: %d", managers), func(t *testing.T) {
			kafka := testenv.StartKafka(t, 1, topics()...)
			server := testenv.StartRedis(t)
			publish(t, server.Addr())
			state := t.TempDir()
			logs := filepath.Join(t.TempDir(), "log")
			log := new(testenv.Buffer)
			o := &operator{t: t, path: testenv.Build(t, "pipeline"), log: log}
			r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 100*time.Millisecond)}
			showLogs(t, log, logs)
			cluster := testenv.StartFlinkOf(t, testenv.FlinkSize{
				JobManagers: managers, TaskManagers: 1, Settings: fmt.Sprintf("state.checkpoints.dir: file://%s\n", state),
				Application: func(rest string) []string {
					o.rest = rest
					return []string{
						o.path, "submit", "--kafka", kafka.Addr(0), "--redis", server.Addr(), "--rest", rest, "--jars-there",
						"--checkpoint-interval", "3s", "--worker-logs", logs, "--worker-metrics-addr", "127.0.0.1:0", "--savepoint", state,
					}
				},
			})
			r.current("the start")
			o.checkpoint()
			began := o.job()
			led := 0
			for i, m := range cluster.JobManagers {
				r.fault(fmt.Sprintf("JobManager %d of %d: kill -9", i+1, managers), func() {
					m.Kill()
					if _, err := o.find(); err == nil { // The other one leads, and answers.
						return
					}
					led++
					if managers == 1 {
						m.Start()
					}
					// What runs without a leader goes on for some seconds.
					o.awaitJob("the job to run again", func(j flinkapi.Job) bool { return (j.ID == began.ID) != (managers == 1) })
				})
				if managers > 1 {
					m.Start()
				}
				cluster.Ready()
			}
			if led == 0 {
				t.Error("no JobManager that was killed led")
			}
			if managers == 1 && o.checkpoints().Counts.Restored == 0 {
				t.Error("the job began without a checkpoint")
			}
			r.finish()
		})
	}
}
