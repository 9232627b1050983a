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
	"sync/atomic"
)

// Job is the parts of a run in this process. There is at most one of each type. Parts do not change after Open, so
// that Of needs no lock beyond that of the map.
type Job struct {
	parts  []any
	closed atomic.Bool
}

// jobs is the only state of the whole process: see the package.
var jobs sync.Map //nolint:gochecknoglobals // Run → *Job. DoFns know nothing but the name of their run.

// Open makes parts known to the DoFns of a run, in this process.
func Open(run string, parts ...any) *Job {
	j := &Job{parts: parts}
	jobs.Store(run, j)
	return j
}

// Close closes the parts that can be closed, in the order in which Open got them. No runner can be ended at once, so
// DoFns find the parts as long as the process lives: one that is closed does nothing, so that what is left of the run
// stands still instead of failing.
func (j *Job) Close() error {
	j.closed.Store(true)
	var errs []error
	for _, p := range j.parts {
		if c, ok := p.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Of returns the part of type T of a run. It fails for a run that this process does not hold.
func Of[T any](run string) (part T, err error) {
	if j, ok := jobs.Load(run); ok {
		for _, p := range j.(*Job).parts {
			if part, ok := p.(T); ok {
				return part, nil
			}
		}
	}
	return part, fmt.Errorf("this process does not hold the run %q, or no %T of it", run, part)
}

// All yields the parts of type T of all runs of this process that are not closed, in no order.
func All[T any]() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range jobs.Range {
			j := v.(*Job)
			for _, p := range j.parts {
				if part, ok := p.(T); ok && !j.closed.Load() && !yield(part) {
					return
				}
			}
		}
	}
}
