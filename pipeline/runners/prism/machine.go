package prism

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"pulseboard/internal/conf"
	"pulseboard/internal/embedded"
	"pulseboard/pipeline"
	"pulseboard/pipeline/supervisor"
)

// MachineFlags adds none.
func (*Runner) MachineFlags(*conf.Flags) {}

// Check finds nothing missing.
func (*Runner) Check(pipeline.Machine) error { return nil }

// expendable: the pipeline is the first that the kernel ends when memory is short, since it is rebuilt from Kafka.
const expendable = 500

// Start runs the job in a process of its own: any fault in a DoFn ends a job on Prism, and Prism may panic.
func (*Runner) Start(_ context.Context, m pipeline.Machine, starved int) (supervisor.Process, error) {
	return embedded.StartChild(embedded.ChildConfig{
		Name: "pipeline", Path: m.Program, Output: m.Output, Expendable: expendable, Env: environ(m, starved),
		Args: slices.Concat([]string{"pipeline", "--runner", Name}, m.Kafka.Arguments(), m.Redis.Arguments(), []string{
			"--metrics-addr", "unix:" + m.Socket,
			"--slice", m.Slice.String(), "--bound", m.Bound.String(), "--ha-tag", m.ReplicaTag, "--log-level", m.Level.String(), "--pprof", m.Pprof,
		}),
	})
}

// environ is ours, in which flags of the pipeline may stand, without what is none of its business, and with the
// passwords that it needs. They are no arguments, which everybody on this machine can read.
//
// A process has less memory after each time that it ended for want of it: else it would walk into the same again.
func environ(m pipeline.Machine, starved int) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.ContainsFunc([]string{"KAFKA", "REDIS", "DATABASE", "TOKEN"}, func(of string) bool {
			return strings.HasPrefix(name, "PULSEBOARD_"+of)
		})
	})
	env = slices.Concat(env, m.Kafka.Environ(), m.Redis.Environ(), []string{pipeline.HolderEnv + "=" + m.Holder})
	if _, set := os.LookupEnv("GOMEMLIMIT"); set || m.Memory == 0 {
		return env
	}
	limit := m.Memory
	for range min(starved, 4) {
		limit = limit * 3 / 4
	}
	return append(env, fmt.Sprintf("GOMEMLIMIT=%d", limit))
}
