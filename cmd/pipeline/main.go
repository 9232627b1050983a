// Command pipeline runs the Beam job that turns events into results.
package main

import (
	"os"

	"pulseboard/internal/service"
	"pulseboard/pipeline"
)

func main() { os.Exit(service.Main("pipeline", pipeline.Main)) }
