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
  send       send events from scripts: one, a file, or standard input
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
	return dispatch(ctx, env, "pulseboard", usage, []subcommand{
		{"run", run},
		{"pipeline", pipeline.Main},
		{"send", sendCommand},
		{"dashboards", dashboards},
		{"load", loadCommand},
		{"canary", runCanary},
		{"backup", backup},
		{"restore", restore},
		{"token", token},
	})
}

type subcommand struct {
	name string
	run  func(context.Context, service.Env) error
}

// dispatch runs the command that the first argument names; of is the command that has them.
func dispatch(ctx context.Context, env service.Env, of, usage string, commands []subcommand) error {
	name := ""
	if len(env.Args) > 0 {
		name, env.Args = env.Args[0], env.Args[1:]
	}
	names := make([]string, len(commands))
	for i, c := range commands {
		if c.name == name {
			return c.run(ctx, env)
		}
		names[i] = c.name
	}
	switch name {
	case "", "help", "-h", "-help", "--help":
		_, _ = fmt.Fprint(env.Stdout, usage)
		return conf.ErrHelp
	}
	last := len(names) - 1
	return fmt.Errorf("unknown command %q: use %s or %s (see %s help)", strings.TrimPrefix(of+" "+name, "pulseboard "), strings.Join(names[:last], ", "), names[last], of)
}
