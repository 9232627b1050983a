// Command pipeline runs the Beam job that turns events into results.
package main

import (
	"os"

	"pulseboard/cmd/pipeline/command"
	"pulseboard/internal/service"
)

func main() { os.Exit(service.Main("pipeline", command.Main)) }
