package setting

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"pulseboard/bench/fanout/proc"
	"pulseboard/internal/embedded"
)

// Program says how a server is started.
type Program struct {
	Name string // For messages and its log.
	Path string
	Args []string // Without --addr.
	Env  []string // Beside that of this process.
	Dir  string   // For its log.
}

// Process is a server that says in its log on which address it listens.
type Process struct {
	Name string
	Addr string // host:port.

	program Program
	mu      sync.Mutex
	child   *embedded.Child
	starts  int
}

const startTime = 30 * time.Second

// Start starts a server on a free port and returns when it is healthy.
func Start(ctx context.Context, p Program) (*Process, error) {
	one := &Process{Name: p.Name, program: p, Addr: "127.0.0.1:0"}
	return one, one.start(ctx)
}

// GatewayProgram is a gateway of this setting.
func (s *Setting) GatewayProgram(name, path string, args, env []string) Program {
	return Program{Name: name, Path: path, Args: append([]string{"--redis", s.Redis(), "--max-connections", "200000"}, args...), Env: env, Dir: s.Dir}
}

func (p *Process) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts++
	log, err := os.Create(filepath.Join(p.program.Dir, fmt.Sprintf("%s-%d.log", strings.ReplaceAll(p.Name, " ", "-"), p.starts)))
	if err != nil {
		return fmt.Errorf("cannot keep the log of %s: %w", p.Name, err)
	}
	heard := &listening{log: log, addr: make(chan string, 1)}
	child, err := embedded.StartChild(embedded.ChildConfig{
		Name: p.Name, Path: p.program.Path, Args: append([]string{"--addr", p.Addr}, p.program.Args...),
		Env: append(os.Environ(), p.program.Env...), Output: heard,
	})
	if err != nil {
		_ = log.Close()
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w; build it first, with make bench-fanout or make build", err)
		}
		return err
	}
	go func() {
		<-child.Done()
		_ = log.Close() // Nothing writes to it any more.
	}()
	p.child = child
	select {
	case p.Addr = <-heard.addr:
	case <-child.Done():
		return child.Err()
	case <-ctx.Done():
		child.Kill()
		return fmt.Errorf("%s did not say where it listens: %w", p.Name, ctx.Err())
	}
	if err := p.healthy(ctx); err != nil {
		child.Kill()
		return err
	}
	return nil
}

// listening looks for the address in the lines of a server's log.
type listening struct {
	log  *os.File
	addr chan string
	said bool
}

func (l *listening) Write(line []byte) (int, error) {
	if addr := addressIn(string(line)); addr != "" && !l.said {
		l.said = true
		l.addr <- addr
	}
	return l.log.Write(line)
}

// addressIn returns that of a line "… msg=listening … addr=host:port", as all our services log it.
func addressIn(line string) string {
	m := regexp.MustCompile(`\bmsg=listening\b.*\baddr="?([^ "\n]+)`).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return m[1]
}

func (p *Process) healthy(ctx context.Context) error {
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for {
		err := p.Read(ctx, "/healthz", nil)
		if err == nil {
			return nil
		}
		select {
		case <-p.child.Done():
			return p.child.Err()
		case <-ctx.Done():
			return fmt.Errorf("%s is not healthy: %w", p.Name, err)
		case <-every.C:
		}
	}
}

// open asks for a path; the body is to be closed. Another status than 200 is an error.
func (p *Process) open(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addr+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Close = true // A connection of its own, which is none of those measured.
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close() // It was only read.
		return nil, fmt.Errorf("cannot get %s of %s: %s", path, p.Name, res.Status)
	}
	return res, nil
}

// CollectGarbage makes the process do so, when it serves Go's profiles, and
// reports whether it did. The gateway's page answers at any path.
func (p *Process) CollectGarbage(ctx context.Context) bool {
	res, err := p.open(ctx, "/debug/pprof/heap?gc=1")
	if err != nil {
		return false
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.Header.Get("Content-Type") == "application/octet-stream"
}

// Read reads an answer line by line.
func (p *Process) Read(ctx context.Context, path string, line func(string)) error {
	res, err := p.open(ctx, path)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if line != nil {
			line(lines.Text())
		}
	}
	return lines.Err()
}

// Metrics returns those without labels, by name.
func (p *Process) Metrics(ctx context.Context) (map[string]float64, error) {
	out := map[string]float64{}
	err := p.Read(ctx, "/metrics", func(line string) {
		name, text, _ := strings.Cut(line, " ")
		if v, err := strconv.ParseFloat(text, 64); err == nil && !strings.ContainsAny(name, "#{") {
			out[name] = v
		}
	})
	return out, err
}

// Usage is what it has used since it was started last.
func (p *Process) Usage() (proc.Usage, error) { return proc.Look(p.Pid()) }

// Pid is that of its last start.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child.Pid()
}

// Starts is how often it was started.
func (p *Process) Starts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// Done is closed when it has ended, as it was started last.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child.Done()
}

// Err says how it ended. It waits for that.
func (p *Process) Err() error {
	p.mu.Lock()
	child := p.child
	p.mu.Unlock()
	return child.Err()
}

// Kill is kill -9, and waits for the end.
func (p *Process) Kill() {
	p.mu.Lock()
	child := p.child
	p.mu.Unlock()
	if child != nil {
		child.Kill()
	}
}

// Restart starts it again after Kill, on the same address.
func (p *Process) Restart(ctx context.Context) error { return p.start(ctx) }
