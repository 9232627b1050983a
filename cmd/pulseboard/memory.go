package main

import (
	"fmt"

	"pulseboard/internal/memory"
)

// shareMemory decides what each of the processes may use, and bounds this one.
func (a *app) shareMemory() {
	total := memory.Limit{Bytes: a.options.memory, From: "--memory"}
	if total.Bytes == 0 {
		total = memory.Available()
	}
	a.memory, a.memoryFrom = memory.Share(total.Bytes), total.From
	memory.LimitHeap(a.memory.Own)
	a.Metrics.MustRegister(a.memory.Collector())
}

// tellMemory is a line for who starts the program.
func (a *app) tellMemory() string {
	if a.memory.Total == 0 {
		return "not bounded: " + a.memoryFrom
	}
	return fmt.Sprintf("%s, by %s: pipeline %s, Redis %s, this process %s", memory.Text(a.memory.Total), a.memoryFrom,
		memory.Text(a.memory.Pipeline), memory.Text(a.memory.Redis), memory.Text(a.memory.Own))
}
