package faults_test

import (
	"path/filepath"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

// Checkpoints alone must lose nothing. Flink's runner ends the bundle that is open
// when a checkpoint begins; with its default it sends the watermark of that bundle
// on before its elements, which are then late, and dropped without a word. So:
// as many checkpoints as there can be, and records at all times.
func TestCheckpointsLoseNothing(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 1, topics()...)
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	dir := t.TempDir()
	log := new(testenv.Buffer)
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 10*time.Millisecond)}
	showLogs(t, log, filepath.Join(dir, "log"))
	testenv.Start(t, log, testenv.Build(t, "pipeline"), "flink-local", "--kafka", kafka.Addr(0), "--redis", server.Addr(), "--flink-jars", testenv.FlinkJars(), "--dir", dir,
		"--worker-logs", filepath.Join(dir, "log"), "--checkpoint-interval", "500ms", "--parallelism", "2")
	r.current("the start")
	r.until(40 * time.Second)
	r.finish()
}
