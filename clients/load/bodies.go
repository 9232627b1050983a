package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
)

// body is a request made beforehand, so that sending costs next to nothing
// beside what it loads. What it adds to each metric is known exactly: values
// are quarters, whose sums floating point holds without error.
type body struct {
	text     []byte
	counts   []metricCount
	acked    atomic.Int64 // Requests with it that were acknowledged.
	doubtful atomic.Int64 // Requests that may have been stored, or in part.
}

type metricCount struct {
	metric   int
	count    int64
	quarters int64
}

const (
	fewestBodies = 64      // Else the same windows would come again and again, whose values a stream leaves out.
	maxValue     = 4 * 500 // In quarters.
)

// newBodies spreads all series evenly over bodies of --batch events, in random order.
func newBodies(c *Config) []*body {
	r := rand.New(rand.NewPCG(1, 2))
	series := c.Metrics * c.Series
	n := max(fewestBodies, (series+c.Batch-1)/c.Batch)
	order := r.Perm(series)
	bodies := make([]*body, n)
	next := 0
	counts := make([]metricCount, c.Metrics)
	for i := range bodies {
		clear(counts)
		b := &body{text: append(make([]byte, 0, c.Batch*(90+24*c.Tags)), '[')}
		for range c.Batch {
			if next == series {
				r.Shuffle(series, func(i, j int) { order[i], order[j] = order[j], order[i] })
				next = 0
			}
			m, s := order[next]/c.Series, order[next]%c.Series
			next++
			value := r.Int64N(maxValue)
			if len(b.text) > 1 {
				b.text = append(b.text, ',')
			}
			b.text = appendEvent(b.text, c, m, s, value)
			counts[m].count++
			counts[m].quarters += value
		}
		b.text = append(b.text, ']')
		for m, k := range counts {
			if k.count > 0 {
				b.counts = append(b.counts, metricCount{m, k.count, k.quarters})
			}
		}
		bodies[i] = b
	}
	return bodies
}

// appendEvent writes an event without event_time: it happens when it arrives.
// The first tag tells the series of a metric apart; the others have fewer values.
func appendEvent(b []byte, c *Config, m, series int, quarters int64) []byte {
	b = append(append(b, `{"metric_name":"`...), c.metricName(m)...)
	b = append(b, `","value":`...)
	b = strconv.AppendFloat(b, float64(quarters)/4, 'f', -1, 64)
	b = append(b, `,"tags":{"host":"host-`...)
	b = append(strconv.AppendInt(b, int64(series), 10), '"')
	for t := 1; t < c.Tags; t++ {
		name := fmt.Sprintf("tag%d", t)
		switch t {
		case 1:
			name = "region"
		case 2:
			name = "service"
		}
		b = append(append(append(b, `,"`...), name...), `":"`...)
		b = append(append(b, name[0], '-'), strconv.Itoa(series%(4*t))...)
		b = append(b, '"')
	}
	return append(b, "}}"...)
}

// total is what a metric must show.
type total struct {
	count, quarters                 int64 // Acknowledged.
	doubtfulCount, doubtfulQuarters int64 // May or may not be stored.
}

func totals(bodies []*body, metrics int) []total {
	out := make([]total, metrics)
	for _, b := range bodies {
		acked, doubtful := b.acked.Load(), b.doubtful.Load()
		for _, k := range b.counts {
			t := &out[k.metric]
			t.count += acked * k.count
			t.quarters += acked * k.quarters
			t.doubtfulCount += doubtful * k.count
			t.doubtfulQuarters += doubtful * k.quarters
		}
	}
	return out
}
