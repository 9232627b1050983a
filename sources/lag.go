package sources

import (
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/job"
)

// lag is how far the read loop is behind in a partition. It is read when
// metrics are: a lag must grow also while nothing is read. Times are epoch ms.
type lag struct {
	next      atomic.Int64 // The next offset to be emitted.
	end       atomic.Int64 // The end of the partition.
	time      atomic.Int64 // Timestamp of the record at next, or of the last one before it; 0 = none yet.
	heard     atomic.Int64 // When the broker gave the newest response.
	openSince atomic.Int64 // When the oldest open transaction began; 0 = none is open; notRead.
}

// notRead is lag.openSince before and after the partition is read.
const notRead = math.MinInt64

func (l *lag) records() int64 { return max(0, l.end.Load()-l.next.Load()) }

// quietFor is how young the newest response must be for a partition without further records to have no lag.
const quietFor = time.Second

// seconds is the age of the record at next. Without one it is the age of the newest response, once that is old.
func (l *lag) seconds(now time.Time) float64 {
	since := l.heard.Load()
	if l.records() > 0 && l.time.Load() > 0 {
		since = l.time.Load()
	} else if now.UnixMilli()-since < quietFor.Milliseconds() {
		return 0
	}
	return max(0, float64(now.UnixMilli()-since)/1000)
}

// openSeconds is the age of the oldest open transaction; ok is false while the partition is not read.
func (l *lag) openSeconds(now time.Time) (seconds float64, ok bool) {
	switch since := l.openSince.Load(); {
	case since == notRead:
		return 0, false
	case since <= 0:
		return 0, true
	default:
		return max(0, float64(now.UnixMilli()-since)/1000), true
	}
}

// lagCollector returns the metrics of the partitions of all readers of this process.
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
	now := time.Now()
	for s := range job.All[*Readers]() {
		s.collect(out, now)
	}
}

func (s *Readers) collect(out chan<- prometheus.Metric, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for shard, r := range s.open {
		r.lags.Range(func(partition, l any) bool {
			label, lag := strconv.Itoa(int(partition.(int32))), l.(*lag)
			out <- prometheus.MustNewConstMetric(lagRecords, prometheus.GaugeValue, float64(lag.records()), label)
			out <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, lag.seconds(now), label)
			if open, ok := lag.openSeconds(now); ok {
				out <- prometheus.MustNewConstMetric(openSeconds, prometheus.GaugeValue, open, label)
			}
			return true
		})
		if watermark := r.loop.watermark.Load(); watermark > 0 {
			out <- prometheus.MustNewConstMetric(watermarkDelay, prometheus.GaugeValue, float64(now.UnixMilli()-watermark)/1000, strconv.Itoa(shard.Index))
		}
	}
}

// HeldBytes counts what the source of this process has in memory: of reading, records that are fetched and not emitted, and what
// decoders remember; ids of records, to know duplicates; partials on their way to key groups.
func HeldBytes() map[string]int64 {
	held := map[string]int64{"reading": 0, "ids": 0, "partials": 0}
	for s := range job.All[*Readers]() {
		s.mu.Lock()
		for _, r := range s.open {
			held["reading"] += r.readAhead.bytes.Load() + r.readAhead.texts.Taken()
			held["ids"] += r.readAhead.ids.Load()
		}
		s.mu.Unlock()
		held["partials"] += s.progress.UnderWay()
	}
	return held
}
