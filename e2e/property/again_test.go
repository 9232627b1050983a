package property_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kgo"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/redisconn"
	"pulseboard/metric"
	"pulseboard/registry"
	"pulseboard/wire"
)

// againLetters is the topic of dead letters of the pipeline that reads it all again.
const againLetters = "again-dead-letters"

// readAgain lets a new pipeline read the whole topic, and compares what it counts by
// outcome with the log: every record that is read ends in one place.
func readAgain(t *testing.T, binary, addr string, l *topicLog) (unaccounted int, told string) {
	t.Helper()
	redis := testenv.Redis(t)
	store, err := registry.Open(t.Context(), redisconn.At(redis))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // It was written.
	// It reads as far back as its longest window reaches.
	hour := metric.Query{Metric: metricName(0), Aggregation: "count", WindowSeconds: 3600}
	if err := store.Publish(t.Context(), map[string]wire.QueryEntry{hour.Key(): {Query: hour, RefreshMs: []int64{5000}}}); err != nil {
		t.Fatal(err)
	}
	listens := fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
	log := new(testenv.Buffer)
	pipeline := testenv.Start(t, log, binary, "--kafka", addr, "--redis", redis, "--bound", fmt.Sprintf("%dms", boundMs), "--ha-tag", agentTag,
		"--dead-letter-topic", againLetters, "--metrics-addr", listens)
	defer pipeline.Kill()

	want := map[string]float64{
		"pulseboard_pipeline_events_total":        float64(l.counted()),
		"pulseboard_pipeline_too_late_total":      float64(l.tooLate),
		"pulseboard_pipeline_dead_letters_total":  float64(l.future + l.bad + l.ahead),
		"pulseboard_source_duplicates_total":      float64(l.duplicate),
		"pulseboard_source_aborted_records_total": float64(l.aborted),
		"pulseboard_source_replica_events_total":  float64(l.leftOut),
		// And in no other way.
		"pulseboard_source_lag_records": 0, "pulseboard_source_lost_records_total": 0, "pulseboard_source_logs_replaced_total": 0, "pulseboard_source_ids_forgotten_total": 0,
		"pulseboard_pipeline_late_partials_total": 0, "pulseboard_pipeline_dead_letters_lost_total": 0, "pulseboard_pipeline_other_events_total": 0,
	}
	var got map[string]float64
	ticks := time.NewTicker(250 * time.Millisecond)
	defer ticks.Stop()
	for changed := time.Now(); ; <-ticks.C {
		now, err := scrape("http://"+listens+"/metrics", want)
		if err == nil && maps.Equal(now, want) {
			got = now
			break
		}
		if err == nil && !maps.Equal(now, got) {
			got, changed = now, time.Now()
		}
		if time.Since(changed) > time.Minute { // It has come to its end, or never will.
			t.Logf("the pipeline that read it again:\n%s", testenv.Page(log.String()))
			break
		}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			unaccounted += int(max(got[name]-want[name], want[name]-got[name]))
		}
		if got[name] != 0 || want[name] != 0 {
			lines = append(lines, fmt.Sprintf("%s %v of %v", strings.TrimPrefix(name, "pulseboard_"), got[name], want[name]))
		}
	}
	letters := map[place]int{}
	eachRecord(t, addr, againLetters, 0, func(rec *kgo.Record) {
		partition, err := strconv.ParseInt(header(rec, "source-partition"), 10, 32)
		offset, err2 := strconv.ParseInt(header(rec, "source-offset"), 10, 64)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		letters[place{int32(partition), offset}]++
	})
	for at := range l.letters {
		unaccounted += max(l.letters[at]-letters[at], 0)
	}
	for at, n := range letters {
		unaccounted += max(n-l.letters[at], 0)
	}
	return unaccounted, strings.Join(lines, ", ")
}

// scrape sums the series of metrics by their names.
func scrape(url string, names map[string]float64) (map[string]float64, error) {
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return nil, err
	}
	sums := map[string]float64{}
	for name := range names {
		sums[name] = 0
		for _, m := range families[name].GetMetric() {
			sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sums, nil
}
