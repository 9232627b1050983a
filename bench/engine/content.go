package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"

	"pulseboard/metric"
	"pulseboard/wire"
)

// content is what is written to Kafka, a function of its fields: record k is of
// metric k modulo their number, and due at begin + k × interval, which is its
// timestamp. Its events have no time of their own.
type content struct {
	Prefix          string // Of the names of metrics; "" = the usual one.
	Metrics, Series int    // Series of each metric.
	Batch           int    // Events in a record.
	Rate            int    // Events a second.
	Begin, End      int64
	OwnTags         bool // The tags of a metric's series are those of no other metric.
	Partitions      int  // Of the topic; 0 = as many as usual.
	Lines           bool // Values of records are lines as InfluxDB takes them, not JSON.
}

// text is the value of a record, and what it adds to a window.
type text struct {
	value []byte
	cell  cell
}

// cell is what events of a metric add up to.
type cell struct {
	count         int64
	sum, min, max float64
}

func (c *cell) add(o cell) {
	if o.count == 0 {
		return
	}
	if c.count == 0 {
		*c = o
		return
	}
	c.count, c.sum, c.min, c.max = c.count+o.count, c.sum+o.sum, min(c.min, o.min), max(c.max, o.max)
}

func (c *content) metric(m int) string {
	return fmt.Sprintf("%s.m%03d", cmp.Or(c.Prefix, "engine.requests"), m)
}

// texts are the records of each metric, which follow each other again and again. Each series is in
// them as often as any other, in random order, with values that are quarters.
func (c *content) texts() [][]text {
	const events = 640_000 // So many that memory holds them easily, and that the values of a series are not always the same.
	rounds := min(max(events/(c.Metrics*c.Series), 8), 64)
	for rounds*c.Series%c.Batch != 0 {
		rounds++
	}
	r := rand.New(rand.NewPCG(1, 2))
	tags := make([]metric.Tags, c.Series)
	all := make([][]text, c.Metrics)
	for m := range all {
		for s := range tags {
			if m > 0 && !c.OwnTags {
				break
			}
			host := fmt.Sprintf("web-%03d", s)
			if c.OwnTags {
				host = fmt.Sprintf("web-%d-%05d", m, s)
			}
			tags[s] = metric.NewTags(map[string]string{"host": host, "path": "/api/v1/items", "region": fmt.Sprintf("eu-%d", s%3)})
		}
		events := make([]metric.Event, 0, rounds*c.Series)
		for range rounds {
			for _, s := range r.Perm(c.Series) {
				events = append(events, metric.Event{Value: float64(r.IntN(2000)) / 4, Tags: tags[s]})
			}
		}
		for first := 0; first < len(events); first += c.Batch {
			t := text{value: c.encode(c.metric(m), events[first:first+c.Batch])}
			for _, e := range events[first : first+c.Batch] {
				t.cell.add(cell{1, e.Value, e.Value, e.Value})
			}
			all[m] = append(all[m], t)
		}
	}
	return all
}

func (c *content) encode(name string, events []metric.Event) []byte {
	if !c.Lines {
		return wire.AppendRecord(nil, name, events)
	}
	var b []byte
	for _, e := range events {
		b = append(b, name...)
		for _, t := range e.Tags {
			b = fmt.Appendf(b, ",%s=%s", t.Key, t.Value)
		}
		b = fmt.Appendf(b, " value=%g\n", e.Value)
	}
	return b
}

// due is the timestamp of record k, epoch ms.
func (c *content) due(k int64) int64 { return c.Begin + k*int64(c.Batch)*1000/int64(c.Rate) }

// records is how many are due before a time, epoch ms.
func (c *content) records(before int64) int64 {
	if before <= c.Begin {
		return 0
	}
	perSecond := int64(c.Batch) * 1000
	return ((before-c.Begin)*int64(c.Rate) + perSecond - 1) / perSecond
}

// events is how many there are.
func (c *content) events() int64 { return c.records(c.End) * int64(c.Batch) }

// place returns the metric of record k, and which of the metric's texts it is.
func (c *content) place(k int64, texts [][]text) (m int, t *text) {
	m = int(k % int64(c.Metrics))
	return m, &texts[m][k/int64(c.Metrics)%int64(len(texts[m]))]
}

// oracle knows what each window holds.
type oracle struct {
	content *content
	cells   [][]cell // By metric and step since begin.
}

// step divides each slice that is measured, in ms.
const step = 250

func newOracle(c *content) *oracle {
	o := &oracle{content: c, cells: make([][]cell, c.Metrics)}
	texts := c.texts()
	for m := range o.cells {
		o.cells[m] = make([]cell, (c.End-c.Begin)/step+1)
	}
	for k := range c.records(c.End) {
		m, t := c.place(k, texts)
		o.cells[m][(c.due(k)-c.Begin)/step].add(t.cell)
	}
	return o
}

// window is what [start, end) of a metric holds.
func (o *oracle) window(m int, start, end int64) (sum cell) {
	begin := o.content.Begin
	for i := max(0, (start-begin)/step); i < min(int64(len(o.cells[m])), (end-begin)/step); i++ {
		sum.add(o.cells[m][i])
	}
	return sum
}

func (c *content) partitionsOr() int { return cmp.Or(c.Partitions, wire.Partitions) }
