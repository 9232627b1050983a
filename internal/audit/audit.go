// Package audit records edits, refusals and changes of tokens, with who made them:
// a line of JSON for each, in a file that the operator names.
//
//	config service, guard of tokens, servers ──▶ Log ──bounded queue──▶ one writer ──▶ file
//
// No request waits for it: an entry for which the queue has no room, or that cannot be
// written, is counted, and the next line that can be written holds the count. Of tokens
// it has names, never secrets. docs/audit.md has the shapes.
package audit

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Entry is a line. What does not apply is left out.
type Entry struct {
	At      time.Time `json:"at"`
	Event   string    `json:"event"`
	Service string    `json:"service"`

	// Who and from where.
	Token   string `json:"token,omitempty"` // Its name.
	Address string `json:"address,omitempty"`
	User    string `json:"user,omitempty"` // Of the machine, of a command.

	// The request.
	Method string `json:"method,omitempty"`
	Route  string `json:"route,omitempty"`
	Path   string `json:"path,omitempty"`

	// Of an edit.
	Action    string `json:"action,omitempty"`
	Dashboard string `json:"dashboard_id,omitempty"`
	Before    int64  `json:"version_before,omitempty"`
	After     int64  `json:"version_after,omitempty"`

	// Of a refusal.
	Reason string     `json:"reason,omitempty"`
	Need   string     `json:"needs,omitempty"`
	Count  int        `json:"count,omitempty"` // As many more like it since the last line.
	Since  *time.Time `json:"since,omitempty"` // Of Count.

	// Of a token.
	Scopes  []string   `json:"scopes,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	File    string     `json:"file,omitempty"`
	Error   string     `json:"error,omitempty"`

	// Of what is missing.
	Dropped int64 `json:"dropped,omitempty"`
}

// Events.
const (
	Edit           = "edit"
	Refused        = "refused"
	TokenAdded     = "token_added"
	TokenRemoved   = "token_removed"
	TokenChanged   = "token_changed"
	TokenExpired   = "token_expired"
	TokensUnusable = "tokens_unusable"
	Backup         = "backup"
	Restore        = "restore"
	Dropped        = "dropped"
)

// queueSize is how many entries may wait for the disk.
const queueSize = 1024

// Log is the audit log of a process. Its methods may be called at the same time,
// and of a nil Log, which keeps nothing.
type Log struct {
	service string
	log     *slog.Logger
	metrics *metrics
	out     *file
	queue   chan Entry
	limits  *limits
	address func(*http.Request) string
	now     func() time.Time

	mu      sync.Mutex
	missing int64 // Not written since the last line that was.
}

// Config is what a log needs.
type Config struct {
	Path    string                     // Of the file; "-" = Stdout; "" = none is kept.
	Service string                     // Name of the process in each line.
	Stdout  io.Writer                  // Of the process.
	Address func(*http.Request) string // Where a request comes from; "" = unknown.
	Metrics prometheus.Registerer
	Log     *slog.Logger
}

// Flag defines the flag that names the audit log.
func Flag(f *flag.FlagSet, path *string) {
	f.StringVar(path, "audit-log", "", "`file` that gets a line of JSON for each edit, refusal and change of tokens (docs/audit.md), - for standard output;\nwhen it is renamed, a new one is begun; empty = none is kept")
}

// Open returns the log, nil when none is to be kept. Run must be called for it to be written.
func Open(c Config) (*Log, error) {
	if c.Path == "" {
		return nil, nil
	}
	out := &file{path: c.Path, w: c.Stdout}
	if c.Path != "-" {
		if err := out.open(); err != nil {
			return nil, fmt.Errorf("cannot open the audit log: %w; name another file with --audit-log", err)
		}
	}
	return &Log{
		service: c.Service, log: c.Log, metrics: newMetrics(c.Metrics), out: out, address: c.Address,
		queue: make(chan Entry, queueSize), limits: newLimits(), now: time.Now,
	}, nil
}

// Note keeps an entry, without waiting.
func (l *Log) Note(e Entry) {
	if l == nil {
		return
	}
	e.At, e.Service = l.now().UTC(), l.service
	select {
	case l.queue <- e:
	default:
		l.drop("queue", 1)
	}
}

func (l *Log) drop(why string, n int64) {
	l.metrics.dropped.WithLabelValues(why).Add(float64(n))
	l.mu.Lock()
	l.missing += n
	l.mu.Unlock()
}

// Run writes until ctx ends, and then what waits.
func (l *Log) Run(ctx context.Context) error {
	if l == nil {
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case e := <-l.queue:
			l.write(e)
		case <-t.C:
			l.tell(l.limits.due(l.now(), false))
			l.writeMissing()
		case <-ctx.Done():
			l.tell(l.limits.due(l.now(), true))
			for len(l.queue) > 0 {
				l.write(<-l.queue)
			}
			l.writeMissing()
			return l.out.close()
		}
	}
}

// tell writes lines for refusals that were only counted.
func (l *Log) tell(due []Entry) {
	for _, e := range due {
		e.At, e.Service = l.now().UTC(), l.service
		l.write(e)
	}
}

// writeMissing writes how many entries are missing, once that succeeds.
func (l *Log) writeMissing() {
	l.mu.Lock()
	n := l.missing
	l.mu.Unlock()
	if n == 0 {
		return
	}
	if l.put(Entry{At: l.now().UTC(), Service: l.service, Event: Dropped, Dropped: n}) {
		l.mu.Lock()
		l.missing -= n
		l.mu.Unlock()
	}
}

func (l *Log) write(e Entry) {
	l.writeMissing()
	if l.put(e) {
		l.metrics.entries.WithLabelValues(e.Event).Inc()
		return
	}
	l.drop("write", 1)
}

// put writes one line, and logs the first of several failures in a row.
func (l *Log) put(e Entry) bool {
	err := l.out.line(e)
	failed := l.out.failed
	l.out.failed = err != nil
	switch {
	case err == nil:
		l.metrics.failing.Set(0)
		if failed {
			l.log.Info("the audit log is written again", "file", l.out.path)
		}
		return true
	case !failed:
		l.metrics.failing.Set(1)
		l.log.Error("the audit log cannot be written; what is missing is counted", "file", l.out.path, "error", err)
	}
	return false
}

// Append writes one entry at once, for a command that ends after it.
func Append(path, service string, stdout io.Writer, e Entry) error {
	if path == "" {
		return nil
	}
	e.At, e.Service = time.Now().UTC(), service
	out := &file{path: path, w: stdout}
	if err := out.line(e); err != nil {
		return fmt.Errorf("cannot write the audit log %s: %w", path, errors.Join(err, out.close()))
	}
	return out.close()
}

// User is the user of the machine that runs a command.
func User(getenv func(string) string) string {
	if name := getenv("USER"); name != "" {
		return name
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}
