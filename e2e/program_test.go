package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
)

// built is the folder of the program, "" when it was there, or no test has needed it.
var built string

// build compiles the program once a test run.
var build = sync.OnceValues(func() (string, error) {
	if path, ok := testenv.Made("pulseboard"); ok {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "pulseboard-e2e-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "pulseboard")
	out, err := exec.Command("go", "build", "-o", path, "pulseboard/cmd/pulseboard").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code) //nolint:forbidigo // As TestMain must.
}

// program is a running pulseboard.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	kafka string
	redis string
	ended chan struct{}
	err   error
	log   *testenv.Buffer

	printed string // At the start.
}

var banner = regexp.MustCompile(`running: (http://\S+)/\n(?:.*\n)*?  Kafka (\S+) .*\n  Redis (\S+) `)

// start runs the program until it has printed its address. The canary is left out,
// since tests count events and results: --no-canary=false has it.
func start(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	return startIn(t, dir, nil, args...)
}

// startIn is start with more variables in the environment.
func startIn(t *testing.T, dir string, env []string, args ...string) *program {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, ended: make(chan struct{}), log: new(testenv.Buffer)}
	p.cmd = exec.Command(path, append([]string{"run", "--addr", "127.0.0.1:0", "--data-dir", dir, "--no-canary"}, args...)...)
	p.cmd.Stderr, p.cmd.Env = p.log, append(os.Environ(), env...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	printed := ""
	for !strings.Contains(printed, "Ctrl-C") {
		line, err := lines.ReadString('\n')
		printed += line
		if err != nil {
			break
		}
	}
	go func() {
		_, _ = io.Copy(p.log, lines)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the end of the log of the program:\n%s", testenv.Page(p.log.String()))
		}
	})
	p.printed = printed
	m := banner.FindStringSubmatch(printed)
	if m == nil {
		t.Fatalf("the program printed %q", printed)
	}
	p.url, p.kafka, p.redis = m[1], m[2], m[3]
	p.until("health", func() error {
		res, err := http.Get(p.url + "/healthz")
		if err != nil {
			return err
		}
		defer res.Body.Close() //nolint:errcheck // It was only read.
		if res.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(res.Body)
			return fmt.Errorf("%s: %s", res.Status, b)
		}
		return nil
	})
	return p
}

// kill is kill -9 and waits.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// interrupt is Ctrl-C and waits for the end.
func (p *program) interrupt() error {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.t.Fatal("the program does not end")
	}
	return p.err
}

// until repeats a check until it holds; the limit is generous, the check cheap.
func (p *program) until(what string, ok func() error) {
	p.t.Helper()
	limit := time.After(90 * time.Second)
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-every.C:
		case <-p.ended:
			p.t.Fatalf("waiting for %s: the program ended: %v; log: %s", what, p.err, p.log)
		case <-limit:
			p.t.Fatalf("waited too long for %s: %v", what, err)
		}
	}
}

// request sends JSON and decodes the answer, whose status must be want.
func (p *program) request(method, path string, body any, want int, answer any) {
	p.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, bytes.NewReader(b))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		p.t.Fatalf("%s %s: %s, %v: %s", method, path, res.Status, err, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			p.t.Fatalf("%s %s answers %s: %v", method, path, text, err)
		}
	}
}

// pipelinePID finds the pipeline's process, a child of the program.
func (p *program) pipelinePID() int {
	return testenv.Child(p.cmd.Process.Pid, " pipeline ")
}
