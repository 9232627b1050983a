// Command pulseboard runs the whole of Pulseboard on one machine, keeps
// dashboards as files, and measures what an installation bears.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	pipeline "pulseboard/cmd/pipeline/command"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
	"pulseboard/pipeline/runners"
)

func main() { os.Exit(service.Main("pulseboard", command)) }

const usage = `Usage: pulseboard <command> [flags]

Commands:
  run        start everything on this machine: Kafka, Redis, pipeline, API and page
  pipeline   run the Beam pipeline alone (run starts this as a process of its own)
  dashboards check, compare, apply and export dashboards as files; import those of Grafana
  load       put a running Pulseboard under load, and say whether it held
  canary     send an event a second through everything, and tell what becomes of it
  backup     write all dashboards and their versions to a file
  restore    bring them back, into a running Pulseboard too
  token      make, list and remove the tokens that let people and programs in

"pulseboard <command> --help" lists the flags of a command.
`

func command(ctx context.Context, env service.Env) error {
	if serve := runners.Worker(env.Args); serve != nil {
		return serve(ctx) // Started by what "pulseboard run" has started, such as Flink.
	}
	name := ""
	if len(env.Args) > 0 {
		name, env.Args = env.Args[0], env.Args[1:]
	}
	switch name {
	case "run":
		return run(ctx, env)
	case "pipeline":
		return pipeline.Main(ctx, env)
	case "dashboards":
		return dashboards(ctx, env)
	case "load":
		return loadCommand(ctx, env)
	case "canary":
		return runCanary(ctx, env)
	case "backup":
		return backup(ctx, env)
	case "restore":
		return restore(ctx, env)
	case "token":
		return token(ctx, env)
	case "help", "-h", "-help", "--help":
		_, err := fmt.Fprint(env.Stdout, usage)
		return err
	case "":
		_, _ = fmt.Fprint(env.Stdout, usage)
		return conf.ErrHelp
	}
	return fmt.Errorf("unknown command %q: use run, pipeline, dashboards, load, canary, backup, restore or token (see pulseboard help)", strings.TrimSpace(name))
}
