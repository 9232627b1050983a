package main

import (
	"os"
	"slices"
	"strings"

	"pulseboard/pipeline"
)

// jobEnviron is the environment of the pipeline's process: ours, in which its flags may
// stand, without what is none of its business, and with the passwords that it needs. They are
// no arguments: those everybody on this machine can read.
func (a *app) jobEnviron() []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.ContainsFunc([]string{"KAFKA", "REDIS", "DATABASE", "TOKEN"}, func(of string) bool {
			return strings.HasPrefix(name, "PULSEBOARD_"+of)
		})
	})
	return slices.Concat(env, a.kafka.Environ(), a.redis.Environ(), []string{pipeline.HolderEnv + "=" + a.holder})
}
