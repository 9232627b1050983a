package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"pulseboard/internal/service"
)

// stage is a part of the pipeline, and the beginnings of the functions that are its.
type stage struct {
	name      string
	functions []string
}

// all returns the stages. A sample counts for the stage of its innermost function that has one, so
// that what is general counts for who called it, and of two beginnings that fit the earlier one's.
func allStages() []stage {
	return []stage{
		{"duplicates", []string{"pulseboard/sources.(*seenIDs)", "pulseboard/sources.(*idTable)", "pulseboard/sources.(*slot)", "pulseboard/sources.(*ids)", "pulseboard/sources.idOf", "pulseboard/sources.remember"}},
		{"decode", []string{"pulseboard/wire.(*Decoder)", "pulseboard/sources.(*Record).decode"}},
		{"drain", []string{"pulseboard/sources.(*readLoop)", "pulseboard/sources.(*call)", "pulseboard/sources.(*partition)", "pulseboard/sources.(*ReadFn)", "pulseboard/sources.(*alignment)", "pulseboard/sources.(*lead)"}},
		{"fetch", []string{"pulseboard/sources.", "github.com/twmb/franz-go", "github.com/klauspost/compress"}},
		{"coder", []string{"pulseboard/transforms.encode", "pulseboard/transforms.decode", "pulseboard/aggregate.EncodeTable", "pulseboard/aggregate.DecodeTable"}},
		{"pre-aggregate", []string{"pulseboard/transforms.(*PreAggregateFn)"}},
		{"merge", []string{"pulseboard/transforms.(*MergeFn)"}},
		{"evaluate", []string{"pulseboard/transforms.(*keyGroup).evaluate", "pulseboard/transforms.(*keyGroup).result", "pulseboard/transforms.(*keyGroup).prepare", "pulseboard/transforms.runBuild"}},
		{"store", []string{"pulseboard/aggregate.(*Store)", "pulseboard/transforms.(*keyGroup)", "pulseboard/transforms.(*SlideFn)"}},
		{"sink", []string{"pulseboard/sinks.", "pulseboard/results.", "pulseboard/catalog.", "github.com/redis/go-redis"}},
		{"Prism, SDK, gRPC", []string{"pulseboard/internal/prism.", "github.com/apache/beam", "google.golang.org/", "golang.org/x/net/http2"}},
	}
}

// What is no stage of the job.
const (
	collector = "GC"
	scheduler = "scheduler, futex, netpoll"
	others    = "others"
)

// stages prints how profiles spread over the stages, in percent, a column for each file.
func stages(_ context.Context, env service.Env) error {
	columns := make([]map[string]float64, 0, len(env.Args))
	_, _ = fmt.Fprintf(env.Stdout, "%-28s", "% of the CPU")
	for _, path := range env.Args {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		shares, err := sharesOf(file)
		_ = file.Close() // It was only read.
		if err != nil {
			return fmt.Errorf("cannot read the profile %s: %w", path, err)
		}
		columns = append(columns, shares)
		_, _ = fmt.Fprintf(env.Stdout, " %*s", width(path), strings.TrimSuffix(filepath.Base(path), ".pprof"))
	}
	_, _ = fmt.Fprintln(env.Stdout)
	names := make([]string, 0, 20)
	for _, s := range allStages() {
		names = append(names, s.name)
	}
	for _, name := range append(names, collector, scheduler, others, kernel, malloc) {
		_, _ = fmt.Fprintf(env.Stdout, "%-28s", name)
		for i, c := range columns {
			_, _ = fmt.Fprintf(env.Stdout, " %*.1f", width(env.Args[i]), c[name])
		}
		_, _ = fmt.Fprintln(env.Stdout)
	}
	return nil
}

func width(path string) int { return max(8, len(filepath.Base(path))-len(".pprof")) }

// What is a part of the other rows.
const (
	kernel = "of it the kernel"
	malloc = "of it malloc without GC"
)

// sharesOf returns percent by stage.
func sharesOf(r io.Reader) (map[string]float64, error) {
	p, err := profile.Parse(r)
	if err != nil {
		return nil, err
	}
	shares, total := make(map[string]float64), 0.0
	for _, s := range p.Sample {
		value := float64(s.Value[len(s.Value)-1])
		total += value
		functions := functionsOf(s)
		name := stageOf(functions)
		shares[name] += value
		if has(functions[:1], "internal/runtime/syscall", "syscall.", "runtime.futex", "runtime.epoll", "runtime.usleep", "runtime.madvise", "runtime.write1") {
			shares[kernel] += value
		}
		if name != collector && has(functions, "runtime.mallocgc", "runtime.growslice", "runtime.makeslice", "runtime.newobject") {
			shares[malloc] += value
		}
	}
	for name := range shares {
		shares[name] *= 100 / total
	}
	return shares, nil
}

// functionsOf returns the innermost first, as it was written: inlined ones are there too.
func functionsOf(s *profile.Sample) (names []string) {
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function != nil {
				names = append(names, line.Function.Name)
			}
		}
	}
	return append(names, "") // There is always one.
}

func stageOf(functions []string) string {
	if has(functions, "runtime.gcBgMarkWorker", "runtime.gcAssist", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcStart", "runtime.gcMark", "runtime.gcDrain", "runtime.wbBuf", "runtime.(*sweepLocked)") {
		return collector
	}
	inRuntime := true
	for _, f := range functions {
		for _, s := range allStages() {
			if has([]string{f}, s.functions...) {
				return s.name
			}
		}
		inRuntime = inRuntime && (f == "" || strings.HasPrefix(f, "runtime.") || strings.HasPrefix(f, "internal/runtime/"))
	}
	if inRuntime {
		return scheduler
	}
	return others
}

// has reports whether one of the functions has one of the beginnings.
func has(functions []string, beginnings ...string) bool {
	return slices.ContainsFunc(functions, func(f string) bool {
		return f != "" && slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(f, b) })
	})
}
