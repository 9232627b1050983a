package sources

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lag is how far a partition is behind, as drain last saw it. It is read when
// metrics are: a lag must grow also while nothing is read.
type lag struct {
	next  atomic.Int64 // The next offset to be emitted.
	end   atomic.Int64 // The end of the partition.
	time  atomic.Int64 // Timestamp of the record at next, or of the last one before it; 0 = none yet.
	heard atomic.Int64 // When the broker last answered, epoch ms.
}

func (l *lag) records() int64 { return max(0, l.end.Load()-l.next.Load()) }

// While the broker's last word is younger than this, there is no lag.
const quietFor = time.Second

// seconds is the age of the record that is next. With none, what the broker
// said last may be old: then it is the age of that.
func (l *lag) seconds(now time.Time) float64 {
	since := l.heard.Load()
	if l.records() > 0 && l.time.Load() > 0 {
		since = l.time.Load()
	} else if now.UnixMilli()-since < quietFor.Milliseconds() {
		return 0
	}
	return max(0, float64(now.UnixMilli()-since)/1000)
}

// lagCollector tells of the partitions of all readers of this process.
type lagCollector struct{}

var (
	lagRecords = prometheus.NewDesc("pulseboard_source_lag_records",
		"Records of a partition that are in Kafka and have not been emitted yet, by what the broker said last. Normal: below a second's worth.", []string{"partition"}, nil)
	lagSeconds = prometheus.NewDesc("pulseboard_source_lag_seconds",
		"Age of the next record of a partition to be emitted, 0 when there is none; while the broker is silent, the age of its last word. Normal: below 1 s.", []string{"partition"}, nil)
	openSeconds = prometheus.NewDesc("pulseboard_source_open_transaction_seconds",
		"Age of the oldest transaction of a partition that is neither committed nor aborted: its records count when it is committed. 0 when there is none. Normal: below 60 s.", []string{"partition"}, nil)
	watermarkDelay = prometheus.NewDesc("pulseboard_source_watermark_delay_seconds",
		"How far the watermark of a reader shard is behind the clock: the bound, and up to a slice. Normal: below 2.5 s.", []string{"shard"}, nil)
)

// Describe is called by the registry, like Collect.
func (lagCollector) Describe(out chan<- *prometheus.Desc) {
	out <- lagRecords
	out <- lagSeconds
	out <- openSeconds
	out <- watermarkDelay
}

func (lagCollector) Collect(out chan<- prometheus.Metric) {
	readers.mu.Lock()
	defer readers.mu.Unlock()
	now := time.Now()
	for id, r := range readers.open {
		r.lags.Range(func(partition, l any) bool {
			label := strconv.Itoa(int(partition.(int32)))
			out <- prometheus.MustNewConstMetric(lagRecords, prometheus.GaugeValue, float64(l.(*lag).records()), label)
			out <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, l.(*lag).seconds(now), label)
			return true
		})
		r.openTransactions.Range(func(partition, since any) bool {
			age := 0.0
			if since := since.(int64); since > 0 {
				age = max(0, float64(now.UnixMilli()-since)/1000)
			}
			out <- prometheus.MustNewConstMetric(openSeconds, prometheus.GaugeValue, age, strconv.Itoa(int(partition.(int32))))
			return true
		})
		if told := r.told.Load(); told > 0 {
			out <- prometheus.MustNewConstMetric(watermarkDelay, prometheus.GaugeValue, float64(now.UnixMilli()-told)/1000, strconv.Itoa(id.shard.Index))
		}
	}
}
