package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// recovery is how long it took from the loss of a process until every query had a result again
// of a window that ended after it, and was current.
type recovery struct {
	process string
	took    time.Duration
}

// kill kills the worker and then Java, when asked for, and waits each time until all is well again.
func (b *bench) kill(ctx context.Context) error {
	if !b.o.faults {
		return nil
	}
	measured := time.Now().UnixMilli() // What was measured must not wait for what is killed.
	if err := b.wait(ctx, "the last windows that are measured", patience, func() bool { return b.watch.reached(measured) == len(b.watch.queries) }); err != nil {
		return err
	}
	for _, name := range []string{workerPrefix + javaName, javaName} {
		pid := 0 // As of the end of measuring: CPU time after that is not asked for.
		for _, a := range b.accounts.all {
			if a.name == name && !a.gone {
				pid = a.pid
			}
		}
		if pid == 0 {
			return fmt.Errorf("%s is not there to be killed", name)
		}
		began := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		current := func() bool {
			after := max(began.UnixMilli()+1, time.Now().Add(-currentAge).UnixMilli())
			return b.watch.reached(after) == len(b.watch.queries)
		}
		if err := b.wait(ctx, "results after the loss of "+name, patience, current); err != nil {
			return err
		}
		b.recoveries = append(b.recoveries, recovery{name, time.Since(began)})
		// The next one meets a job that has its checkpoints again.
		if err := b.pass(ctx, settled, func(time.Duration) {}); err != nil {
			return err
		}
	}
	return nil
}

const settled = 20 * time.Second
