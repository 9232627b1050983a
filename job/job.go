// Package job holds what the DoFns of one run share in one process, and how far that run has come in it.
//
// The SDK makes DoFns anew from their serialised fields, for each bundle if it likes. A DoFn that needs a connection, or
// an object that another DoFn of its process keeps, has only the name of its run; Of leads from there to the object. Which
// objects there are, and what flows between them, is written in pipeline/build.go, wire.
package job

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
)

// ErrEnded is returned for a run that this process does not hold: it has ended, or never began.
var ErrEnded = errors.New("this process does not hold the run")

// Job is the parts of a run in this process. There is at most one of each type. Parts do not change after Open, so
// that Of needs no lock beyond that of the map.
type Job struct {
	run   string
	parts []any
}

// jobs is the only state of the whole process: see the package.
var jobs sync.Map //nolint:gochecknoglobals // Run → *Job. DoFns know nothing but the name of their run.

// Open makes parts known to the DoFns of a run, in this process, until Close.
func Open(run string, parts ...any) *Job {
	j := &Job{run, parts}
	jobs.Store(run, j)
	return j
}

// Close closes the parts that can be closed, in the order in which Open got them, and forgets the run. No runner can be
// ended at once, so DoFns may still find parts that are closed; what is left of the run fails with ErrEnded afterwards.
func (j *Job) Close() error {
	defer jobs.CompareAndDelete(j.run, j)
	var errs []error
	for _, p := range j.parts {
		if c, ok := p.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Of returns the part of type T of a run, or ErrEnded.
func Of[T any](run string) (part T, err error) {
	if j, ok := jobs.Load(run); ok {
		for _, p := range j.(*Job).parts {
			if part, ok := p.(T); ok {
				return part, nil
			}
		}
	}
	return part, fmt.Errorf("%w: %q has no %T", ErrEnded, run, part)
}

// All yields the parts of type T of all runs of this process, in no order.
func All[T any]() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, j := range jobs.Range {
			for _, p := range j.(*Job).parts {
				if part, ok := p.(T); ok && !yield(part) {
					return
				}
			}
		}
	}
}
