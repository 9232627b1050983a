// Package runners lists where the job can run.
package runners

import (
	"context"
	"strings"

	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/direct"
	"pulseboard/pipeline/runners/flink"
	"pulseboard/pipeline/runners/prism"
)

// All returns all runners, the default first, each as before its flags are read.
func All() []pipeline.Runner {
	return []pipeline.Runner{prism.New(), flink.New(), direct.New()}
}

// Worker returns what serves the cluster that has started this process with such arguments, nil when none has.
func Worker(args []string) func(context.Context) error {
	for _, r := range All() {
		if host, ok := r.(pipeline.WorkerHost); ok && host.IsWorker(args) {
			return func(ctx context.Context) error { return host.RunWorker(ctx, args) }
		}
	}
	return nil
}

// Name returns the name of a runner, for Names.
func Name(r pipeline.Runner) string { return r.Name() }

// About returns the name of a runner and what it is, for Names.
func About(r pipeline.Runner) string { return r.Name() + " (" + r.About() + ")" }

// Names joins texts about runners: a, b or c.
func Names[R pipeline.Runner](rs []R, of func(pipeline.Runner) string) string {
	texts := make([]string, len(rs))
	for i, r := range rs {
		texts[i] = of(r)
	}
	last := len(texts) - 1
	if last < 1 {
		return strings.Join(texts, "")
	}
	return strings.Join(texts[:last], ", ") + " or " + texts[last]
}
