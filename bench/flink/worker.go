package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// workerFigures are from the metrics of a Go worker.
type workerFigures struct {
	events, results      float64 // Counted, evaluated, since its start.
	keyGroups            int     // That hold series.
	partitions           int     // That it reads.
	series, state        float64 // Held; bytes.
	heap                 float64 // Bytes in use.
	late                 float64 // Slices that came after their timer.
	delaySum, delayCount float64 // From the end of a slice to its evaluation, seconds.
	cycleSum, cycleCount float64 // Of writing to Redis.
}

// askWorker reads the metrics of a worker. Their address is in its log.
func (s *servers) askWorker(ctx context.Context, pid int) (f workerFigures, err error) {
	log, err := os.ReadFile(filepath.Join(s.dir, "workers", fmt.Sprintf("pulseboard-worker-%d.log", pid)))
	if err != nil {
		return f, err
	}
	m := regexp.MustCompile(`msg="metrics are served".* addr=(\S+)`).FindSubmatch(log)
	if m == nil {
		return f, fmt.Errorf("the log of worker %d names no address of its metrics", pid)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(m[1])+"/metrics", nil)
	if err != nil {
		return f, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return f, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		f.read(lines.Text())
	}
	return f, lines.Err()
}

func (f *workerFigures) read(line string) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 || line[0] == '#' {
		return
	}
	v, err := strconv.ParseFloat(line[i+1:], 64)
	if err != nil {
		return
	}
	name, _, _ := strings.Cut(line[:i], "{")
	switch name {
	case "pulseboard_pipeline_events_total":
		f.events += v
	case "pulseboard_pipeline_results_total":
		f.results += v
	case "pulseboard_pipeline_series":
		f.series += v
		if v > 0 {
			f.keyGroups++
		}
	case "pulseboard_source_lag_records":
		f.partitions++
	case "pulseboard_pipeline_state_bytes":
		f.state += v
	case "pulseboard_pipeline_late_partials_total":
		f.late += v
	case "pulseboard_pipeline_slice_delay_seconds_sum":
		f.delaySum = v
	case "pulseboard_pipeline_slice_delay_seconds_count":
		f.delayCount = v
	case "pulseboard_sink_publish_seconds_sum":
		f.cycleSum = v
	case "pulseboard_sink_publish_seconds_count":
		f.cycleCount = v
	case "go_memstats_heap_inuse_bytes":
		f.heap = v
	}
}
