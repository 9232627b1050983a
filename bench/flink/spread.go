package main

import (
	"fmt"
	"strings"
)

// reportSpread prints what each worker did, and each subtask.
func (b *bench) reportSpread(p printer) {
	var rows [][]string
	var events, results []float64
	for _, a := range b.accounts.workers() {
		after, ok := b.after.workers[a.pid]
		if !ok {
			continue
		}
		before := b.before.workers[a.pid]
		events = append(events, after.events-before.events)
		results = append(results, after.results-before.results)
		rows = append(rows, []string{
			a.name, fmt.Sprintf("%.1f %%", 100*(a.cpu-a.base)/b.took.Seconds()), fmt.Sprint(after.partitions), fmt.Sprintf("%.0f", after.events-before.events),
			fmt.Sprint(after.keyGroups), fmt.Sprintf("%.0f", after.series), fmt.Sprintf("%.0f", after.results-before.results),
			mean(after.delaySum-before.delaySum, after.delayCount-before.delayCount), mean(after.cycleSum-before.cycleSum, after.cycleCount-before.cycleCount),
			fmt.Sprintf("%.0f", after.late),
		})
	}
	p.table([]string{
		"worker", "of a core", "partitions", "events decoded", "key groups", "series", "windows evaluated",
		"slice end → evaluated, mean", "write to Redis, mean", "slices after their timer",
	}, rows)
	if len(rows) > 1 {
		p.line("Largest part of a worker, and even would be %.0f %%: events %s, windows %s.\n", 100/float64(len(rows)), largest(events), largest(results))
	}
	rows = nil
	for _, t := range since(b.before.subtasks, b.after.subtasks) {
		// The two looks are some seconds off; how much time is between them the times themselves say.
		all := t.busy + t.idle + t.backpress
		if all == 0 || t.read+t.written == 0 {
			continue // It began the source, long ago.
		}
		share := func(ms float64) string { return fmt.Sprintf("%.1f %%", 100*ms/all) }
		each := func(n float64) string { return fmt.Sprintf("%.0f", 1000*n/all) }
		rows = append(rows, []string{shortName(t.name), fmt.Sprint(t.number + 1), shortHost(t.host), each(t.read), each(t.written), share(t.busy), share(t.backpress)})
	}
	p.table([]string{"operators", "subtask", "TaskManager", "records read, 1/s", "written, 1/s", "busy", "held up"}, rows)
	p.line("Busy is the time of the thread, which for the most part waits for its worker, and is no CPU time.\n")
}

func mean(sum, count float64) string {
	if count == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f ms", 1000*sum/count)
}

func largest(parts []float64) string {
	var total, most float64
	for _, v := range parts {
		total += v
		most = max(most, v)
	}
	if total == 0 {
		return "none"
	}
	return fmt.Sprintf("%.0f %%", 100*most/total)
}

// shortName leaves the beginning of a chain's name, which repeats the names of all its steps.
func shortName(name string) string {
	const most = 60
	name = strings.ReplaceAll(name, "|", "/")
	if r := []rune(name); len(r) > most {
		return string(r[:most]) + "…"
	}
	return name
}

// shortHost leaves what tells TaskManagers apart.
func shortHost(id string) string {
	if i := strings.LastIndexByte(id, '-'); i >= 0 {
		return id[i+1:]
	}
	return id
}
