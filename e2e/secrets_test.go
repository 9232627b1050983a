package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/auth"
)

// Distinctive, so that they are found wherever they stand.
var secrets = map[string]string{
	"Redis": "redis-3vZ0x-secret", "Kafka": "kafka-8Qm2w-secret", "the database": "database-5Tn7k-secret", "the API": "pb_token-1Rb6y-secret",
}

// secured is Kafka and Redis with TLS and login, PostgreSQL, and tokens: the
// arguments and the environment of a program that uses all of them.
func secured(t *testing.T) (args, env []string) {
	t.Helper()
	testenv.NeedRedis(t)
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin"); len(found) == 0 {
		t.Skip("there is no PostgreSQL on this machine; .ci/run installs Debian's")
	}
	a := testenv.NewAuthority(t)
	kafka := testenv.SecureKafka(t, a, testenv.Login{User: "ingest", Password: secrets["Kafka"]})
	redis := testenv.SecureRedis(t, a, testenv.Login{User: "pulseboard", Password: secrets["Redis"]})
	database := strings.Replace(testenv.Postgres(t), "app@", "app:"+secrets["the database"]+"@", 1)
	tokens := filepath.Join(t.TempDir(), "tokens.yaml")
	entry := auth.Entry{Name: "all", Scopes: []auth.Scope{auth.Admin}, Hash: auth.DigestOf(secrets["the API"])}
	if err := auth.Add(tokens, entry); err != nil {
		t.Fatal(err)
	}
	args = []string{
		"--kafka", kafka, "--kafka-ca", a.File, "--kafka-sasl", "SCRAM-SHA-512", "--kafka-user", "ingest",
		"--redis-ca", a.File, "--tokens", tokens, "--log-level", "DEBUG", "--no-demo",
	}
	return args, []string{
		"PULSEBOARD_KAFKA_PASSWORD=" + secrets["Kafka"], "PULSEBOARD_DATABASE=" + database,
		"PULSEBOARD_REDIS=rediss://pulseboard:" + secrets["Redis"] + "@" + redis, "PULSEBOARD_TOKEN=" + secrets["the API"],
	}
}

// All services with TLS and login everywhere; and no secret stands in the arguments of
// any process, in the environment of one that does not need it, in what is printed and
// logged at DEBUG, in metrics, health and answers, and in the data folder.
func TestSecretsAreNowhere(t *testing.T) {
	args, env := secured(t)
	dir := t.TempDir()
	p := startIn(t, dir, env, args...)
	ask := func(method, path string, body any) (int, string, error) {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, "", err
		}
		req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, bytes.NewReader(b))
		if err != nil {
			return 0, "", err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+secrets["the API"])
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close() //nolint:errcheck // It was only read.
		text, err := io.ReadAll(res.Body)
		return res.StatusCode, string(text), err
	}
	status, text, err := ask(http.MethodPost, "/dashboards", map[string]any{"title": "One", "widgets": []map[string]any{
		{"metric_name": "one", "aggregation": "sum", "window_seconds": 600},
	}})
	var made struct {
		ID      string `json:"dashboard_id"`
		Widgets []struct {
			ID string `json:"widget_id"`
		} `json:"widgets"`
	}
	if err != nil || status != http.StatusCreated || json.Unmarshal([]byte(text), &made) != nil {
		t.Fatalf("%d %s %v", status, text, err)
	}
	if status, text, err := ask(http.MethodPost, "/ingest", []map[string]any{{"metric_name": "one", "value": 7}}); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, text, err)
	}
	snapshot := "/dashboards/" + made.ID + "/widgets/" + made.Widgets[0].ID + "/snapshot"
	p.until("the sum", func() error {
		status, text, err := ask(http.MethodGet, snapshot, nil)
		if err == nil && (status != http.StatusOK || !strings.Contains(text, `"value":7`)) {
			err = fmt.Errorf("%d %s", status, text)
		}
		return err
	})

	found := 0
	look := func(where, text string, needed ...string) {
		t.Helper()
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				if strings.Contains(strings.Join(needed, ","), name) {
					found++
					continue
				}
				t.Errorf("the secret of %s stands in %s", name, where)
			}
		}
	}
	var walk func(pid int, needed ...string)
	walk = func(pid int, needed ...string) {
		for _, of := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, of))
			if err != nil {
				t.Fatal(err)
			}
			may := needed
			if of == "cmdline" {
				may = nil
			}
			look(fmt.Sprintf("%s of process %d", of, pid), string(b), may...)
		}
		for _, child := range testenv.Children(pid) {
			walk(child.Pid, "Redis", "Kafka")
		}
	}
	walk(p.cmd.Process.Pid, "Redis", "Kafka", "the database", "the API")
	pipeline := p.pipelinePID()
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pipeline))
	if err != nil {
		t.Fatal(err)
	}
	look("the environment of the pipeline", string(environ), "Redis", "Kafka")
	if found == 0 {
		t.Error("no environment has a secret: the test looks in the wrong place")
	}
	for _, path := range []string{"/metrics", "/healthz", "/dashboards", "/dashboards/" + made.ID, "/openapi.yaml", "/dashboards/none", snapshot} {
		_, text, err := ask(http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		look("the answer of "+path, text)
	}
	if err := p.interrupt(); err != nil {
		t.Errorf("the end: %v", err)
	}
	if !strings.Contains(p.log.String(), "level=INFO") {
		t.Error("nothing was logged: the test looks in the wrong place")
	}
	look("what was printed", p.printed+p.log.String())
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		look(path, string(b))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A secret that is wrong, or an address that leads nowhere, is one line that does not quote it.
func TestErrorsHoldNoSecret(t *testing.T) {
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	authority := testenv.NewAuthority(t)
	var redis string
	if _, err := exec.LookPath("redis-server"); err == nil {
		redis = testenv.SecureRedis(t, authority, testenv.Login{User: "pulseboard", Password: "another"})
	} else {
		redis = "127.0.0.1:1" // Then that nobody is there is all that can be seen.
	}
	kafka := testenv.SecureKafka(t, authority, testenv.Login{User: "ingest", Password: "another"}, testenv.Topic{Name: "metric-events", Partitions: 1})
	at := func(scheme, host, secret string) string {
		return scheme + "://pulseboard:" + secrets[secret] + "@" + host
	}
	run := []string{"run", "--addr", "127.0.0.1:0", "--no-demo", "--no-canary", "--log-level", "DEBUG"}
	ca := []string{"--redis-ca", authority.File}
	for name, c := range map[string]struct {
		args, env []string
		want      string
	}{
		"run, Redis as a flag":          {append(run, "--redis", at("redis", "127.0.0.1:1", "Redis")), nil, "--redis-password-file"},
		"run, Redis nowhere":            {run, []string{"PULSEBOARD_REDIS=" + at("redis", "127.0.0.1:1", "Redis")}, "--redis"},
		"run, Redis refuses":            {append(run, ca...), []string{"PULSEBOARD_REDIS=" + at("rediss", redis, "Redis")}, "--redis"},
		"run, no such form":             {run, []string{"PULSEBOARD_REDIS=" + at("redis", "127.0.0.1:port", "Redis")}, "--redis"},
		"run, database as a flag":       {append(run, "--database", at("postgres", "127.0.0.1:1/db", "the database")), nil, "--database-password-file"},
		"run, database nowhere":         {run, []string{"PULSEBOARD_DATABASE=" + at("postgres", "127.0.0.1:1/db", "the database")}, "--database"},
		"run, no such database":         {run, []string{"PULSEBOARD_DATABASE=" + at("postgres", "127.0.0.1:port/db", "the database")}, "--database"},
		"run, no database at all":       {run, []string{"PULSEBOARD_DATABASE=" + at("mysql", "127.0.0.1:1/db", "the database")}, "--database"},
		"run, database as words":        {run, []string{"PULSEBOARD_DATABASE=host=127.0.0.1 password=" + secrets["the database"]}, "--database"},
		"pipeline, Kafka refuses":       {[]string{"pipeline", "--kafka", kafka, "--kafka-ca", authority.File, "--kafka-sasl", "PLAIN", "--kafka-user", "ingest"}, []string{"PULSEBOARD_KAFKA_PASSWORD=" + secrets["Kafka"]}, "--kafka-password-file"},
		"pipeline, Kafka in clear text": {[]string{"pipeline", "--kafka", "192.0.2.1:9092", "--kafka-sasl", "PLAIN", "--kafka-user", "ingest"}, []string{"PULSEBOARD_KAFKA_PASSWORD=" + secrets["Kafka"]}, "--kafka-tls"},
		"pipeline, Kafka as a flag":     {[]string{"pipeline", "--kafka", "127.0.0.1:1", "--kafka-password", secrets["Kafka"]}, nil, "--kafka-password-file"},
		"load, token as a flag":         {[]string{"load", "--token", secrets["the API"]}, nil, "--token-file"},
		"dashboards, token as a flag":   {[]string{"dashboards", "export", "--server", "http://127.0.0.1:1", "--token=" + secrets["the API"]}, nil, "--token-file"},
		"dashboards, a login":           {[]string{"dashboards", "export", "--server", at("http", "127.0.0.1:1", "the API")}, nil, "PULSEBOARD_SERVER"},
		"load, Redis nowhere":           {[]string{"load", "--url", "http://127.0.0.1:1"}, []string{"PULSEBOARD_REDIS=" + at("redis", "127.0.0.1:1", "Redis")}, "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), path, c.args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), c.env...)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %s; want %s", err, out, c.want)
			}
			for of, secret := range secrets {
				if strings.Contains(string(out), secret) {
					t.Errorf("it quotes the secret of %s: %s", of, out)
				}
			}
		})
	}
}
