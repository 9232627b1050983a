package load

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/shirou/gopsutil/v4/process"
)

// ProcessReport is what a process used in the measured part.
type ProcessReport struct {
	Name            string  `json:"name"` // name/child for the children of a process that was named.
	Pid             int     `json:"pid"`
	CPUSeconds      float64 `json:"cpu_seconds"` // User and system.
	CPUShare        float64 `json:"cpu_share"`   // Of one core.
	CPUPerMillion   float64 `json:"cpu_seconds_per_million_events"`
	CPUPerUpdate    float64 `json:"cpu_microseconds_per_update"` // Of an update frame to any client.
	RSSBefore       int64   `json:"rss_bytes_before_streams"`    // Before the first connection.
	RSSConnected    int64   `json:"rss_bytes_connected"`         // When all clients had their snapshots.
	RSS             int64   `json:"rss_bytes"`                   // At the end of the measured part.
	BytesConnection float64 `json:"rss_bytes_per_connection"`    // RSSConnected − RSSBefore, shared out.
}

// HeapReport is the heap and the stacks of a gateway, as its /metrics has them.
type HeapReport struct {
	Gateway         string  `json:"gateway"`
	Before          int64   `json:"bytes_before_streams"`
	Connected       int64   `json:"bytes_connected"`
	BytesConnection float64 `json:"bytes_per_connection"`
}

// use is what a process has used until now.
type use struct {
	name string
	cpu  float64 // Seconds.
	rss  int64
}

// uses looks at processes, their children, and those of the children. Those that
// are not there are gone; the others are looked at all the same.
func uses(pids []Pid) (found map[int]use, gone []error) {
	out := make(map[int]use)
	named := make([]*process.Process, len(pids))
	for i, p := range pids {
		proc, err := process.NewProcess(int32(p.Pid))
		if err == nil {
			name := p.Name
			if name == "" {
				name = commandName(proc)
			}
			err = look(out, proc, name)
			named[i] = proc
		}
		if err != nil {
			gone = append(gone, fmt.Errorf("cannot look at process %d (%s): %w", p.Pid, p.Name, err))
			named[i] = nil
		}
	}
	// Those that were named keep their names, even if they are children of others.
	for _, proc := range named {
		if proc != nil && int(proc.Pid) != os.Getpid() {
			family(out, proc, out[int(proc.Pid)].name)
		}
	}
	return out, gone
}

// family adds what a process has started. A child that ends meanwhile is left out.
func family(out map[int]use, parent *process.Process, name string) {
	children, _ := parent.Children() // An error says that there are none.
	for _, child := range children {
		own := name + "/" + commandName(child)
		if look(out, child, own) == nil {
			family(out, child, own)
		}
	}
}

func look(out map[int]use, p *process.Process, name string) error {
	if _, known := out[int(p.Pid)]; known {
		return nil // It was named itself.
	}
	times, err := p.Times()
	if err != nil {
		return err
	}
	memory, err := p.MemoryInfo()
	if err != nil {
		return err
	}
	out[int(p.Pid)] = use{name, times.User + times.System, int64(memory.RSS)}
	return nil
}

// commandName is the name of the program, of pulseboard that of its command.
func commandName(p *process.Process) string {
	args, err := p.CmdlineSlice()
	if err != nil || len(args) == 0 {
		return "?"
	}
	// redis-server writes its address behind its name.
	name := filepath.Base(strings.Fields(args[0] + " ")[0])
	if name == "pulseboard" && len(args) > 1 {
		return args[1]
	}
	return name
}

// own is this process.
func own() []Pid { return []Pid{{"this load", os.Getpid()}} }

// processReports compares four moments. A process that was started between them counts from 0.
func processReports(beforeStreams, connected, begin, end map[int]use, order []int, length time.Duration, connections int) []ProcessReport {
	var out []ProcessReport
	for _, pid := range order {
		u := end[pid]
		r := ProcessReport{
			Name: u.name, Pid: pid, CPUSeconds: u.cpu - begin[pid].cpu, RSS: u.rss,
			RSSBefore: beforeStreams[pid].rss, RSSConnected: connected[pid].rss,
		}
		r.CPUShare = r.CPUSeconds / length.Seconds()
		if connections > 0 && r.RSSBefore > 0 {
			r.BytesConnection = float64(r.RSSConnected-r.RSSBefore) / float64(connections)
		}
		out = append(out, r)
	}
	return out
}

// heap returns how many bytes the heap and the stacks of a gateway hold, by its /metrics; ok is false when they have no such figures.
func (a *api) heap(ctx context.Context, gateway string) (held int64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	answer, err := a.Do(ctx, http.MethodGet, gateway+"/metrics", nil)
	if err != nil || answer.Status != http.StatusOK {
		return 0, false
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(answer.Body))
	if err != nil {
		return 0, false
	}
	for _, name := range []string{"go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes"} {
		f := families[name]
		if f == nil || len(f.GetMetric()) != 1 {
			return 0, false
		}
		held += int64(f.GetMetric()[0].GetGauge().GetValue())
	}
	return held, true
}
