package faults_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
)

// Flink on one machine, and all that it starts, stays on loopback, and gives other
// users of the machine nothing: no job, no worker's place, no answer of its REST API.
func TestFlinkIsOneUsers(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 1, topics()...)
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	dir := t.TempDir()
	log := new(testenv.Buffer)
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 0)}
	showLogs(t, log, filepath.Join(dir, "log"))
	p := testenv.Start(t, log, testenv.Build(t, "pipeline"), "flink-local", "--kafka", kafka.Addr(0), "--redis", server.Addr(),
		"--flink-jars", testenv.FlinkJars(), "--dir", dir, "--worker-logs", filepath.Join(dir, "log"))
	r.current("the start") // The workers have been taken, with their secret.

	all, err := testenv.Listeners(p.Pid())
	if err != nil {
		t.Fatal(err)
	}
	rest := 0
	for _, l := range all {
		t.Log(l)
		if !l.OnMachine() {
			t.Errorf("other machines reach %s", l)
		}
		if l.Network == "tcp" && answersREST(t, l.Addr) {
			rest++
		}
	}
	if len(all) < 8 || rest != 1 {
		t.Errorf("%d listeners, %d of them Flink's REST API: there should be more than eight, and one", len(all), rest)
	}
	testenv.NoForeignJobs(t, all)
	if info, err := os.Stat(filepath.Join(dir, "conf", "secret")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret has the mode %v, %v: others can read it", info.Mode(), err)
	}
}

// answersREST asks as anybody can, and reports whether it is a server of HTTP that refuses.
func answersREST(t *testing.T, addr string) bool {
	t.Helper()
	res, err := http.Get("http://" + addr + "/jobs/overview")
	if err != nil {
		return false
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return false
	}
	if res.StatusCode != http.StatusUnauthorized || strings.Contains(string(b), "jobs") {
		t.Errorf("%s answers %s: %s", addr, res.Status, b)
	}
	return true
}
