package flink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pulseboard/internal/embedded"
	"pulseboard/pipeline/runners/flink/flinkapi"
	"pulseboard/transforms"
)

// Local is a Flink of one Java process with the job, which goes on from
// the newest checkpoint that an earlier one left in its folder.
type Local struct {
	config Config
	local  JavaConfig
	cancel context.CancelFunc
	done   chan struct{}
	err    error // Read after done.
}

// StartLocal starts it in the background: what goes wrong, also at the
// start, ends it, and the next may find the fault gone.
func StartLocal(ctx context.Context, c Config, local JavaConfig) (*Local, error) {
	if _, err := FindJava(local.Jars); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(local.Dir)
	if err != nil {
		return nil, err
	}
	local.Dir = dir
	local.Slots = max(c.Parallelism, 1) // Submit refuses less.
	// The workers inherit it. The job itself holds no password.
	local.Env = embedded.Environ(slices.Concat(c.Kafka.Environ(), c.Redis.Environ())...)
	ctx, cancel := context.WithCancel(ctx)
	l := &Local{config: c, local: local, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.err = l.run(ctx)
	}()
	return l, nil
}

// Done is closed when it has ended.
func (l *Local) Done() <-chan struct{} { return l.done }

// Err returns why, once it has ended.
func (l *Local) Err() error {
	<-l.done
	return l.err
}

// Close ends it; its checkpoints stay.
func (l *Local) Close() error {
	l.cancel()
	<-l.done
	return nil
}

func (l *Local) run(ctx context.Context) error {
	var err error
	if l.local.From, err = flinkapi.Newest(l.local.Dir); err != nil {
		return err
	}
	java, err := startJava(ctx, l.local)
	if err != nil {
		return err
	}
	defer java.Kill() // It has no more to do at its end than at a crash: what counts is on disk.
	c := l.config
	c.JobServer, c.secret = java.jobServer, java.secret
	if err := Submit(ctx, c); err != nil {
		return err
	}
	c.Log.Info("Flink has the job", "rest", java.rest, "from", l.local.From)
	return l.watch(ctx, java, flinkapi.NewClient(java.rest, java.secret))
}

// How often the job is looked at, and how often once it has made a checkpoint.
const (
	watchEvery = 500 * time.Millisecond
	calmEvery  = 2 * time.Second
)

// watch returns when Java or the job ends. Any failure within the job Flink mends itself.
func (l *Local) watch(ctx context.Context, java *javaProcess, client *flinkapi.Client) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	own := false // The job has made a checkpoint.
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-java.Done():
			return java.Err()
		case <-t.C:
		}
		j, err := client.Find(ctx, l.config.JobName)
		if err != nil {
			continue // Not there yet, or Java is ending.
		}
		if j.State == "INITIALIZING" {
			continue // Flink logs a trace for each question about it.
		}
		if !own {
			cp, err := client.Checkpoints(ctx, j.ID)
			own = err == nil && cp.Counts.Completed > 0
			if own {
				t.Reset(calmEvery)
				if err := flinkapi.Forget(filepath.Join(l.local.Dir, "checkpoints")); err != nil {
					l.config.Log.Warn("old checkpoints cannot be deleted", "error", err)
				}
			}
		}
		cause := ""
		if began := own || l.local.From == ""; !began || j.State != "RUNNING" {
			cause, _ = client.Failure(ctx, j.ID) // What can be said of it is said.
		}
		switch {
		case stateIsUnreadable(cause):
			// Flink would try for ever to begin with what its worker cannot read.
			cause, _, _ = strings.Cut(transforms.ErrState.Error(), ":") // The rest is advice about --savepoint, which pipeline submit has.
			l.setAside(cause)
		case !j.Ended():
			continue
		case !own && l.local.From != "":
			l.setAside(cause)
		}
		return fmt.Errorf("the job on Flink is %s: %s", j.State, strings.TrimSpace(cause))
	}
}

// stateIsUnreadable reports whether a job failed since a worker could not read the state that it was given.
func stateIsUnreadable(failure string) bool {
	return strings.Contains(failure, transforms.ErrState.Error())
}

// setAside makes the next start leave out a checkpoint that the job could not
// begin with, and those that it made of it: an older one may do, and without any
// the windows are rebuilt from Kafka.
func (l *Local) setAside(cause string) {
	line, _, _ := strings.Cut(cause, "\n")
	about := "an older one is tried, or windows are read anew from Kafka"
	if flinkapi.OfAnotherJob(cause) {
		about = flinkapi.AboutAnotherJob
	}
	from := strings.TrimPrefix(l.local.From, "file://")
	l.config.Log.Error("the job could not begin with a checkpoint; it is set aside", "next", about, "checkpoint", from, "error", line)
	all, err := flinkapi.Retained(l.local.Dir)
	for _, uri := range all { // The newest first.
		dir := strings.TrimPrefix(uri, "file://")
		err = errors.Join(err, os.Rename(filepath.Join(dir, "_metadata"), filepath.Join(dir, "_metadata.unusable")))
		if dir == from {
			break
		}
	}
	if err != nil {
		l.config.Log.Error("the checkpoint cannot be set aside", "error", err)
	}
}
