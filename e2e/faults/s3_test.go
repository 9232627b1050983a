package faults_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

// Checkpoints, savepoints and what JobManagers leave for each other are in a storage that speaks S3,
// and nothing of it on a disk. While it is away no checkpoint is completed, and the job goes on.
func TestStateOnS3(t *testing.T) {
	testenv.NeedReal(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "pulseboard")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "only here")
	s3 := testenv.StartS3(t)
	kafka := testenv.StartKafka(t, 1, topics()...)
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	cluster := testenv.StartFlinkOf(t, testenv.FlinkSize{JobManagers: 2, TaskManagers: 1, Settings: fmt.Sprintf(`
s3.endpoint: %s
s3.path.style.access: true
s3.max-error-retries: 3
s3.max-client-retries: 3
s3.max-backoff-time: 2s
s3.max-retry-time: 20s
state.checkpoints.dir: s3://%[2]s/checkpoints
state.savepoints.dir: s3://%[2]s/savepoints
high-availability.storageDir: s3://%[2]s/ha
`, s3.URL, s3.Bucket)})
	logs := filepath.Join(t.TempDir(), "log")
	log := new(testenv.Buffer)
	o := &operator{t: t, path: testenv.Build(t, "pipeline"), rest: cluster.REST(), log: log}
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 100*time.Millisecond)}
	showLogs(t, log, logs)
	submit := []string{
		"--kafka", kafka.Addr(0), "--redis", server.Addr(), "--job-endpoint", cluster.Endpoint(),
		"--jars-there", "--checkpoint-interval", "2s", "--worker-logs", logs, "--worker-metrics-addr", "127.0.0.1:0",
	}
	r.fault("submit", func() { o.do("submit", submit...) })
	began := o.job()
	if at := o.checkpoint().Path; !strings.HasPrefix(at, "s3://"+s3.Bucket+"/checkpoints/") {
		t.Errorf("a checkpoint is at %s", at)
	}

	failed := o.checkpoints().Counts
	s3.Away(true)
	await(t, "a checkpoint to fail", func() error {
		if o.checkpoints().Counts.Failed == failed.Failed {
			return errors.New("none has")
		}
		return nil
	})
	r.current("the storage away")
	s3.Away(false)
	await(t, "a checkpoint after that", func() error {
		if o.checkpoints().Counts.Completed == failed.Completed {
			return errors.New("there is none")
		}
		return nil
	})
	if n := o.checkpoints().Counts.Restored; n != 0 {
		t.Errorf("the job began anew %d times, since its checkpoints failed", n)
	}

	r.fault("all of Java: kill -9", func() {
		servers := append(slices.Clone(cluster.JobManagers), cluster.TaskManagers...)
		for _, s := range servers {
			s.Kill()
		}
		for _, s := range servers {
			s.Start()
		}
		cluster.Ready()
	})
	if now := o.job(); now.ID != began.ID {
		t.Errorf("the job is %s now, not %s", now.ID, began.ID)
	}
	if r := o.checkpoints().Latest.Restored; r == nil || !strings.HasPrefix(r.Path, "s3://") {
		t.Errorf("the job went on from %+v", r)
	}
	path := ""
	r.fault("a savepoint, and on from it", func() {
		path = o.do("savepoint", "--stop")
		o.do("submit", append(submit, "--savepoint", path)...)
	})
	o.beganWith(path)
	r.finish()
}
