package command

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"pulseboard/internal/conf"
	"pulseboard/metric"
	"pulseboard/pipeline"
	"pulseboard/textbook"
)

// reference is the flags of the textbook form.
type reference struct {
	wanted bool
	output string
	config textbook.Config
}

func (r *reference) flags(f *conf.Flags) {
	r.config.Period = time.Second
	f.BoolVar(&r.wanted, "reference", false, "the textbook form, see docs/reference.md")
	f.Func("query", "`metric key` to compute, may be given more than once; none = all of the registry", func(s string) error {
		q, err := metric.ParseKey(s)
		r.config.Queries = append(r.config.Queries, q)
		return err
	})
	f.DurationVar(&r.config.Period, "refresh", r.config.Period, "`interval`: a window ends at each multiple of it since the epoch")
	f.Func("from", "`time` after which windows end, RFC 3339 or epoch milliseconds; empty = since the first record", setTime(&r.config.From))
	f.Func("to", "`time` up to which windows end; empty = to the end of the topic, and on prism without --from for ever", setTime(&r.config.To))
	f.StringVar(&r.output, "output", "json", "`where` results go: json, lines on the standard output, or redis, under ref:<metric key>")
}

func (r *reference) run(ctx context.Context, job pipeline.Job, runner pipeline.Runner) error {
	in, ok := runner.(pipeline.InProcess)
	if !ok {
		return fmt.Errorf("--reference does not run on %s", runner.Name())
	}
	if err := job.BoundMemory(); err != nil {
		return err
	}
	c := r.config
	c.Config, c.Execute, c.ToEnd = job.Config, in.Execute, in.OnlyBounded()
	switch r.output {
	case "json":
		c.JSON = job.Stdout
	case "redis":
	default:
		return fmt.Errorf("--output is %q: it must be json or redis", r.output)
	}
	return textbook.Run(ctx, c)
}

// setTime reads RFC 3339 or epoch milliseconds.
func setTime(t *time.Time) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
			*t = time.UnixMilli(ms)
			return nil
		}
		parsed, err := time.Parse(time.RFC3339Nano, s)
		*t = parsed
		return err
	}
}
