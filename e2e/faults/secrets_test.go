package faults_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
	"pulseboard/internal/conf"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/pipeline/runners/flink/flinkapi"
	"pulseboard/registry"
	"pulseboard/results"
	"pulseboard/wire"
)

// Ingest and the pipeline on Flink with TLS and login at a real Kafka and Redis; the passwords
// stand in no argument, log, checkpoint or savepoint, and nowhere in what Flink tells.
func TestFlinkHoldsNoSecret(t *testing.T) {
	testenv.NeedReal(t)
	const kafkaPassword, redisPassword = "kafka-8Qm2w-secret", "redis-3vZ0x-secret"
	a := testenv.NewAuthority(t)
	broker := testenv.SecureKafka(t, a, testenv.Login{User: "pulseboard", Password: kafkaPassword}, topics()...)
	server := testenv.SecureRedis(t, a, testenv.Login{User: "pulseboard", Password: redisPassword})
	flags := []string{
		"--kafka", broker, "--kafka-ca", a.File, "--kafka-user", "pulseboard",
		"--redis", "rediss://pulseboard@" + server, "--redis-ca", a.File, "--redis-password-file", testenv.SecretFile(t, redisPassword),
	}
	t.Setenv("PULSEBOARD_KAFKA_PASSWORD", kafkaPassword)
	at := func(mechanism string) (kafka kafkaconn.Endpoint, redis redisconn.Endpoint) {
		f := conf.New("test", "")
		kafkaconn.Flags(f, &kafka, "`brokers`")
		redisconn.Flags(f, &redis, "", "Redis")
		if err := f.Parse(append(flags, "--kafka-sasl", mechanism), os.Getenv, io.Discard); err != nil {
			t.Fatal(err)
		}
		return kafka, redis
	}
	_, redis := at("PLAIN")
	store, err := registry.Open(t.Context(), redis)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // It was written.
	query := metric.Query{Metric: "one", Aggregation: metric.Sum, WindowSeconds: 600}
	if err := store.Publish(t.Context(), map[string]wire.QueryEntry{query.Key(): {Query: query, RefreshMs: []int64{1000}}}); err != nil {
		t.Fatal(err)
	}
	dir, log := t.TempDir(), new(testenv.Buffer)
	showLogs(t, log, filepath.Join(dir, "log"))
	p := testenv.Start(t, log, testenv.Build(t, "pipeline"), append([]string{
		"flink-local", "--flink-jars", testenv.FlinkJars(), "--dir", dir, "--worker-logs", filepath.Join(dir, "log"), "--checkpoint-interval", "1s",
		"--log-level", "DEBUG", "--kafka-sasl", "SCRAM-SHA-512",
	}, flags...)...)

	sent := 0.0
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-512"} {
		kafka, _ := at(mechanism)
		s, err := ingest.New(ingest.Config{Kafka: kafka, Shared: host.Shared{Log: slog.New(slog.DiscardHandler)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.EnsureTopics(t.Context()); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/ingest", strings.NewReader(`{"metric_name":"one","value":7}`))
		r.Header.Set("Content-Type", "application/json")
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", mechanism, w.Code, w.Body)
		}
		sent += 7
	}
	res, err := results.Open(t.Context(), redis)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close() //nolint:errcheck // It was only read.
	until := func(what string, ok func() bool) { testenv.Until(t, what, testenv.That(ok)) }
	until("the sum", func() bool {
		r, err := res.Latest(t.Context(), query.Key(), 1000)
		return err == nil && r != nil && len(r.Series) == 1 && r.Series[0].Value != nil && *r.Series[0].Value == sent
	})
	until("a checkpoint", func() bool {
		all, err := flinkapi.Retained(filepath.Join(dir, "checkpoints"))
		return err == nil && len(all) > 0
	})

	look := func(where string, b []byte) {
		for _, secret := range []string{kafkaPassword, redisPassword} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s stands in %s", secret, where)
			}
		}
	}
	var processes func(pid int)
	processes = func(pid int) {
		for _, child := range testenv.Children(pid) {
			look("the arguments of "+child.Command, []byte(child.Command))
			processes(child.Pid)
		}
	}
	processes(p.Pid())
	settings, err := os.ReadFile(filepath.Join(dir, "conf", "flink-conf.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	port := regexp.MustCompile(`(?m)^rest\.port: (\d+)$`).FindSubmatch(settings)
	if port == nil {
		t.Fatalf("there is no port of the REST API in %s", settings)
	}
	get := func(path string) []byte {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+string(port[1])+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+string(flinkapi.SecretIn(dir)))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // It was only read.
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %v: %s", path, res.Status, err, b) // It would tell nothing of what Flink holds.
		}
		look(path, b)
		return b
	}
	job := regexp.MustCompile(`"id":"(\w+)"`).FindSubmatch(get("/jobs"))
	if job == nil {
		t.Fatal("Flink tells of no job")
	}
	for _, path := range []string{"", "/config", "/plan", "/exceptions", "/checkpoints", "/checkpoints/config"} {
		get("/jobs/" + string(job[1]) + path)
	}
	for _, path := range []string{"/jobmanager/config", "/jobmanager/environment", "/jobmanager/logs"} {
		get(path)
	}
	p.Kill() // Nothing changes any more.
	look("the log", []byte(log.String()))
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		var b []byte
		if err == nil && d.Type().IsRegular() {
			b, err = os.ReadFile(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Java's last act.
		}
		look(path, b)
		if len(b) > 0 {
			files++
		}
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v", files, err)
	}
}
