package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/clients/send"
	"pulseboard/ingest"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/service"
)

// sendWith runs the command, and returns its exit code and what it says.
func sendWith(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := service.Env{Args: append([]string{"send"}, args...), Getenv: func(string) string { return "" }, Stdout: &stdout, Stderr: &stderr}
	code = service.Run(t.Context(), "pulseboard", env, command)
	return code, stdout.String() + stderr.String()
}

// One event is what the arguments say.
func TestSendOneEvent(t *testing.T) {
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = string(body)
		_, _ = io.WriteString(w, `{"accepted":1,"rejected":0}`)
	}))
	defer server.Close()
	for args, want := range map[string]string{
		"api.latency 12.5 host=a region=eu": `{"metric_name":"api.latency","tags":{"host":"a","region":"eu"},"value":12.5}`,
		"temp -4.5 --kind gauge":            `{"kind":"gauge","metric_name":"temp","value":-4.5}`,
		"--kind gauge temp -.5 note=-1=2":   `{"kind":"gauge","metric_name":"temp","tags":{"note":"-1=2"},"value":-0.5}`,
		"reqs 7 --kind cumulative --start 2026-11-23T09:00:00Z --time 1763892000000 --point": `{"event_time":1763892000000,"kind":"cumulative","metric_name":"reqs","point":true,"start":"2026-11-23T09:00:00Z","value":7}`,
		"queue --stale host=a": `{"metric_name":"queue","stale":true,"tags":{"host":"a"}}`,
	} {
		got = ""
		if code, said := sendWith(t, append(strings.Fields(args), "--server", server.URL)...); code != 0 || said != "" || got != want+"\n" {
			t.Errorf("%s: %d, %q: %s", args, code, said, got)
		}
	}
	for args, want := range map[string]string{
		"":                            "say what to send: a metric and its value, or --file",
		"m":                           "the value of m is missing: pulseboard send m 12.5",
		"m x":                         `the value of m is "x": it must be a number`,
		"m -1x":                       `the value of m is "-1x": it must be a number`,
		"m NaN":                       `the value of m is "NaN": it must be a number`,
		"m 1 host":                    `the argument "host" is no tag: it must be name=value`,
		"m 1 a=1 a=2":                 "the tag a is there twice",
		"m 1 --file x":                "--file has the events: leave out metric, value and the flags of one event",
		"--file x --kind gauge":       "--file has the events: leave out metric, value and the flags of one event",
		"--file /nowhere/x":           "cannot send the file: open /nowhere/x: no such file or directory",
		"--file /":                    "cannot send /: it is a folder",
		"m 1 --server localhost:8080": `--server is "localhost:8080": it must be a URL such as http://127.0.0.1:8080`,
		"m 1 --format xml":            `--format is "xml": it must be auto, json, ndjson or lines`,
		"m 1 --retry 5m":              "--retry is 5m0s: it must be 0s to 1m40s, since what is repeated later may count twice",
		"m 1 --token x":               "--token is no flag, since every user of this machine could read the secret",
	} {
		if code, said := sendWith(t, strings.Fields(args)...); code != exitTrouble || !strings.HasPrefix(said, "pulseboard: "+want) {
			t.Errorf("%s: %d, %s", args, code, said)
		}
	}
}

// Files of all formats into an ingest node: what is stored, what is refused and where, and the exit code.
func TestSendFiles(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(16, "metric-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	node, err := ingest.New(ingest.Config{Kafka: kafkaconn.At(k.ListenAddrs()...)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(node.Handler())
	defer server.Close()
	for _, c := range []struct {
		name, text, want string
		code             int
	}{
		{"a.json", "[{\"metric_name\":\"m\",\"value\":1},\n{\"metric_name\":\"m\",\"value\":2}]", "2 stored, 0 refused", 0},
		{"a.ndjson", "{\"metric_name\":\"m\",\"value\":1}\n\n{\"metric_name\":\"m\"}\n", "FILE, line 3: value_missing: value is missing\nFILE: 1 stored, 1 refused", exitDiffers},
		{"a.lp", "m,host=a v=1\n# x\nm,host=a\nm v=2", "FILE, line 3: partial write: 1 of 3 values are refused: malformed: line 3, byte ", exitDiffers},
		{"a.txt", "m,host=a v=1\n", "1 stored, 0 refused", 0},
		{"empty", "", "0 stored, 0 refused", 0},
		{"cut.json", "{\"metric_name\":\"m\",\"value\":1}\n{\"metric", "FILE: 1 stored, 0 refused\npulseboard: FILE: line 2: the JSON ends before it is complete", exitTrouble},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, said := sendWith(t, "--file", path, "--server", server.URL)
		if code != c.code || !strings.Contains(said, strings.ReplaceAll(c.want, "FILE", path)) {
			t.Errorf("%s: %d, %s", c.name, code, said)
		}
	}
}

// The line of the bar says how far it is.
func TestBar(t *testing.T) {
	if got, want := barText(send.Sum{Stored: 500, Refused: 2, Bytes: 50}, 200, 2*time.Second), " 25 % [######..................] 500 stored, 2 refused, 251/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var out bytes.Buffer
	b := &bar{to: &out, size: 10}
	b.show(send.Sum{Stored: 1, Bytes: 5})
	b.show(send.Sum{Stored: 1, Bytes: 6}) // Too soon.
	_, _ = io.WriteString(b, "a fault\n")
	b.show(send.Sum{Stored: 2, Bytes: 10})
	b.end()
	if got := strings.Split(strings.ReplaceAll(out.String(), eraseLine, "|"), "|"); len(got) != 4 || got[2] != "a fault\n" || !strings.HasPrefix(got[3], "100 % [####") || !strings.HasSuffix(got[3], "\n") {
		t.Errorf("%q", got)
	}
	if newBar(&out, 10) != nil {
		t.Error("a bar where there is no terminal")
	}
	var none *bar
	none.end()
}
