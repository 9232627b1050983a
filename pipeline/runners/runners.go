// Package runners lists where the job can run.
package runners

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pulseboard/internal/conf"
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

// Flag adds the flag --runner, which is that of the first runner by default.
func Flag[R pipeline.Runner](f *conf.Flags, rs []R) *string {
	return f.String("runner", rs[0].Name(), "`name` of the Beam runner: "+names(rs, func(r R) string { return r.Name() + " (" + r.About() + ")" }))
}

// Choose returns the index of the runner that --runner names.
func Choose[R pipeline.Runner](rs []R, name string) (int, error) {
	i := slices.IndexFunc(rs, func(r R) bool { return r.Name() == name })
	if i < 0 {
		return i, fmt.Errorf("--runner is %q: it must be %s", name, names(rs, R.Name))
	}
	return i, nil
}

// names joins texts about runners: a, b or c.
func names[R pipeline.Runner](rs []R, of func(R) string) string {
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
