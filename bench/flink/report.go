package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report prints what was found as Markdown.
func (b *bench) report(out io.Writer) {
	p := printer{out}
	where := "Flink in one Java process, heap " + b.o.heap
	if b.o.taskManagers > 0 {
		where = fmt.Sprintf("a cluster with %d TaskManagers", b.o.taskManagers)
	}
	p.line("## %d events/s, %s, parallelism %d\n", b.o.rate, where, b.o.parallelism)
	p.line("%s; %d cores, Linux. %v after %v of warming up. %d metrics × %d series, records of %d events, %d partitions; %d queries: count and sum over %s s, every %v.%s\n",
		b.since.UTC().Format("2006-01-02 15:04 UTC"), runtime.NumCPU(), b.took.Round(time.Second), b.o.warmUp, b.o.metrics, b.o.series, b.o.batch, partitions,
		b.o.queries, strings.Trim(strings.ReplaceAll(fmt.Sprint(b.o.windows()), " ", ", "), "[]"), b.o.slice, more(b.o.more))
	b.reportLoad(p)
	b.reportResults(p)
	b.reportCPU(p)
	b.reportCheckpoints(p)
	b.reportRows(p)
	b.reportSpread(p)
	for _, r := range b.recoveries {
		p.line("kill -9 of %s, with %.0f series in %s MB of its workers: %.0f s until every query had a current result.\n", r.process, b.rows[len(b.rows)-1].series, mb(b.rows[len(b.rows)-1].state), r.took.Seconds())
	}
	for _, n := range b.notes {
		p.line("Not measured: %s", n)
	}
}

func more(flags string) string {
	if flags == "" {
		return ""
	}
	return " Further flags: `" + flags + "`."
}

type printer struct{ out io.Writer }

func (p printer) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, format+"\n", args...) // A report that cannot be written has no reader.
}

// table prints a table; cells that are empty in the head have no unit.
func (p printer) table(head []string, rows [][]string) {
	p.line("| %s |", strings.Join(head, " | "))
	p.line("|%s", strings.Repeat("---|", len(head)))
	for _, r := range rows {
		p.line("| %s |", strings.Join(r, " | "))
	}
	p.line("")
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", d.Seconds()*1000) }

func mb[T int64 | float64](bytes T) string { return fmt.Sprintf("%.0f", float64(bytes)/1e6) }

// Above this much of lateness the load, and not the pipeline, is what delays:
// a quarter of the bound, beyond which a record may count a slice later.
const lateLimit = 50 * time.Millisecond

func (b *bench) reportLoad(p printer) {
	l := b.load
	lates, acks := quantilesOf(l.lates), quantilesOf(l.acks)
	rate := float64(l.count) / b.took.Seconds()
	p.line("Load: %d events, %.0f/s. Lateness of a request: p50 %s, p99 %s, at most %s. Due → acknowledged by Kafka: p50 %s, p99 %s, at most %s.",
		l.count, rate, ms(lates.p50), ms(lates.p99), ms(lates.max), ms(acks.p50), ms(acks.p99), ms(acks.max))
	const kept = 0.99
	if rate < kept*float64(b.o.rate) || lates.p99 > lateLimit {
		p.line("**The load was the limit: this run says nothing about the pipeline.**")
	} else {
		p.line("The load kept its rate.")
	}
	p.line("")
}

func (b *bench) reportResults(p printer) {
	w := b.watch
	q := quantilesOf(slices.Clone(w.delays))
	during, apart := b.byCheckpoint()
	var rows [][]string
	for _, r := range []struct {
		name string
		quantiles
	}{{"the bound of 200 ms included", q}, {"of these, with a checkpoint under way meanwhile", during}, {"without", apart}} {
		rows = append(rows, []string{r.name, r.text(r.p50), r.text(r.p95), r.text(r.p99), r.text(r.max), fmt.Sprint(r.n)})
	}
	rows[0][5] += fmt.Sprintf(" of %d", w.expected())
	p.table([]string{"window end → message from Redis", "p50", "p95", "p99", "max", "messages"}, rows)
	p.line("Wrong values: %d of %d. Window ends left out: %d. Connections to Redis lost: %d. Restarts of the job: %s before, %s after.", w.wrong, q.n, w.missing, w.resyncs, b.before.restarts, b.after.restarts)
	if len(b.lastFaults) == 0 {
		p.line("The last window of each of %d queries is exact.\n", len(w.queries))
	} else {
		p.line("**The last windows of %d of %d queries are wrong**: %s\n", len(b.lastFaults), len(w.queries), b.lastFaults[0])
	}
	for _, e := range w.examples {
		p.line("Wrong: %s\n", e)
	}
}

// byCheckpoint tells the delays with a checkpoint between window end and message from the others.
func (b *bench) byCheckpoint() (during, apart quantiles) {
	var with, without []time.Duration
	for i, d := range b.watch.delays {
		end := b.watch.ends[i]
		held := false
		for _, c := range b.checkpoints {
			held = held || c.At < end+d.Milliseconds() && c.At+c.DurationMs > end
		}
		if held {
			with = append(with, d)
		} else {
			without = append(without, d)
		}
	}
	return quantilesOf(with), quantilesOf(without)
}

func (b *bench) reportCPU(p printer) {
	millions := float64(b.load.count) / 1e6
	var rows [][]string
	total := 0.0
	for _, name := range b.accounts.names() {
		var used, gc float64
		var rss, young, full int64
		late, java := 0, false
		for _, a := range b.accounts.all {
			if a.name != name {
				continue
			}
			used += a.cpu - a.base
			if a.late {
				late++
			}
			if !a.gone {
				rss += a.rss
			}
			if h := a.heap; h.ok {
				java = true
				gc += h.gcSeconds - h.baseGCTime
				young += h.young - h.baseYoung
				full += h.full - h.baseFull
			}
		}
		total += used
		collected := ""
		if java {
			collected = fmt.Sprintf("%d + %d, %.2f s", young, full, gc)
		}
		if late > 0 {
			name += fmt.Sprintf(" (**%d began while measuring**)", late)
		}
		rows = append(rows, []string{name, fmt.Sprintf("%.1f %%", 100*used/b.took.Seconds()), fmt.Sprintf("%.2f", used/millions), fmt.Sprintf("%.2f", used), mb(rss), collected})
	}
	p.table([]string{"CPU", "of a core", "s per million events", "s", "RSS at the end, MB", "collections young + full, time"}, rows)
	others := b.after.machine.busy - b.before.machine.busy - total
	p.line("Other processes of this machine took %.1f %% of a core, other machines %.1f %%.\n", 100*max(0, others)/b.took.Seconds(), 100*(b.after.machine.stolen-b.before.machine.stolen)/b.took.Seconds())
}

func (b *bench) reportCheckpoints(p printer) {
	var took []time.Duration
	var sizes, written []int64
	failed := 0
	for _, id := range slices.Sorted(maps.Keys(b.checkpoints)) {
		switch c := b.checkpoints[id]; c.Status {
		case "COMPLETED":
			took = append(took, time.Duration(c.DurationMs)*time.Millisecond)
			sizes, written = append(sizes, c.Bytes), append(written, c.Written)
		case "FAILED":
			failed++
		}
	}
	q := quantilesOf(took)
	if q.n == 0 {
		p.line("Checkpoints: none was completed, %d failed.\n", failed)
		return
	}
	slices.Sort(written)
	p.table([]string{"checkpoints completed, failed", "duration p50", "p95", "max", "size first, last, MB", "of it written: median, most, MB"}, [][]string{{
		fmt.Sprintf("%d, %d", q.n, failed), ms(q.p50), ms(q.p95), ms(q.max), fmt.Sprintf("%.1f, %.1f", float64(sizes[0])/1e6, float64(sizes[len(sizes)-1])/1e6),
		fmt.Sprintf("%.1f, %.1f", float64(written[len(written)/2])/1e6, float64(written[len(written)-1])/1e6),
	}})
}

// sizeAt returns the size of the newest checkpoint at a moment of measuring.
func (b *bench) sizeAt(at time.Duration) string {
	size := ""
	for _, id := range slices.Sorted(maps.Keys(b.checkpoints)) {
		if c := b.checkpoints[id]; c.Status == "COMPLETED" && c.At+c.DurationMs <= b.since.Add(at).UnixMilli() {
			size = fmt.Sprintf("%.1f", float64(c.Bytes)/1e6)
		}
	}
	return size
}

func (b *bench) reportRows(p printer) {
	names := b.accounts.names()
	p.line("Memory is RSS in MB; of Java also what the newest collection left of the heap, and after / the old generation right after the newest full collection; of a worker also its heap in use.\n")
	var rows [][]string
	for _, r := range b.rows {
		cells := []string{r.at.Round(time.Second).String(), r.delay.text(r.delay.p50), r.delay.text(r.delay.p95), r.delay.text(r.delay.max), b.sizeAt(r.at), fmt.Sprintf("%s, %.0f", mb(r.state), r.series)}
		for _, name := range names {
			cells = append(cells, r.memory(name))
		}
		rows = append(rows, cells)
	}
	defer b.reportLive(p)
	p.table(append([]string{"after", "p50", "p95", "max", "checkpoint, MB", "state of workers, MB, series"}, names...), rows)
}

// reportLive tells what lives in the heaps, line by line, and by how much it grows.
func (b *bench) reportLive(p printer) {
	if !b.o.live {
		return
	}
	var rows [][]string
	for _, a := range b.accounts.all {
		var at []time.Duration
		var bytes []float64
		text := []string{a.name}
		for _, r := range b.rows {
			if l, ok := r.live[a.pid]; ok {
				at, bytes = append(at, r.at), append(bytes, float64(l.bytes)/1e6)
				text = append(text, fmt.Sprintf("%.2f, %d", float64(l.bytes)/1e6, l.tables))
			}
		}
		if len(at) > 2 {
			text = append(text, fmt.Sprintf("%.2f MB/h", slope(at, bytes)))
			rows = append(rows, text)
		}
	}
	if len(rows) == 0 {
		return
	}
	head := []string{"live heap, MB, and tables of state"}
	for _, r := range b.rows {
		head = append(head, r.at.Round(time.Second).String())
	}
	p.table(append(head, "grows by"), rows)
}

// text is empty when nothing came.
func (q quantiles) text(d time.Duration) string {
	if q.n == 0 {
		return ""
	}
	return ms(d)
}

func (r *row) memory(name string) string {
	text := ""
	for _, a := range r.accounts {
		if a.name != name {
			continue
		}
		if text != "" {
			text += "; "
		}
		text += mb(a.rss)
		if a.heap.ok {
			text += " (" + mb(a.heap.used)
			if a.heap.afterFull > 0 {
				text += "/" + mb(a.heap.afterFull)
			}
			text += ")"
		}
		if h, ok := r.heaps[a.pid]; ok {
			text += " (" + mb(h) + ")"
		}
	}
	return text
}
