// Command widget measures how long a new widget takes to be full: it fills an
// hour of one metric with many series, sends other events at a steady rate, adds
// a widget with a window of an hour, and waits until the stream has its right
// value and its history.
//
//	go run ./bench/widget --url http://127.0.0.1:8080 --kafka 127.0.0.1:9092 --series 10000
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/segmentio/kafka-go"

	"pulseboard/internal/conf"
	"pulseboard/internal/service"
	"pulseboard/metric"
	"pulseboard/wire"
)

const about = `
widget fills an hour of one metric, adds a widget with a window of an hour, and
says how long its value and its history took, and whether another widget's
results came later meanwhile.`

func main() { os.Exit(service.Main("widget", run)) } //nolint:forbidigo // It is main.

type bench struct {
	url, kafka    string
	series, rate  int
	every, window time.Duration
	aggregation   string
	group         string
	out           io.Writer

	name   string
	times  []int64 // Of one series' events; the others' are the same.
	client *http.Client
}

func run(ctx context.Context, env service.Env) error {
	b := &bench{out: env.Stdout, client: &http.Client{Timeout: 30 * time.Second}}
	f := conf.New("widget", about)
	f.StringVar(&b.url, "url", "http://127.0.0.1:8080", "`address` of pulseboard")
	f.StringVar(&b.kafka, "kafka", "127.0.0.1:9092", "`address` of its Kafka")
	f.IntVar(&b.series, "series", 10_000, "`number` of series")
	f.DurationVar(&b.every, "every", 10*time.Second, "`interval` between the events of a series")
	f.DurationVar(&b.window, "window", time.Hour, "`length` of the window")
	f.IntVar(&b.rate, "rate", 20_000, "`events` a second meanwhile; 0 = none")
	f.StringVar(&b.aggregation, "aggregation", "count", "`name` of the aggregation: count or sum, whose value is known")
	f.StringVar(&b.group, "group", "", "`tag` to group by: region has ten values, id one for each series")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	b.name = fmt.Sprintf("widget.p%d", os.Getpid())
	began := time.Now()
	if err := b.fill(ctx); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(b.out, "%d events of %d series written in %v\n", len(b.times)*b.series, b.series, time.Since(began).Round(time.Millisecond))
	loading, stop := context.WithCancel(ctx)
	defer stop()
	loaded := make(chan error, 1)
	go func() { loaded <- b.load(loading) }()
	err := b.measure(ctx)
	stop()
	return errors.Join(err, <-loaded)
}

// fill writes the events of the past straight to Kafka, as any producer may.
func (b *bench) fill(ctx context.Context) error {
	c := &kafka.Client{Addr: kafka.TCP(b.kafka), Timeout: 30 * time.Second}
	meta, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{"metric-events"}})
	if err != nil {
		return err
	}
	partition := (&kafka.Murmur2Balancer{Consistent: true}).Balance(kafka.Message{Key: []byte(b.name)}, partitions(len(meta.Topics[0].Partitions))...)
	now := time.Now().UnixMilli()
	for at := now - (b.window + 15*time.Minute).Milliseconds(); at < now; at += b.every.Milliseconds() {
		b.times = append(b.times, at)
		var records []kafka.Record
		for first := 0; first < b.series; first += 500 {
			events := make([]metric.Event, 0, 500)
			for i := first; i < min(first+500, b.series); i++ {
				events = append(events, metric.Event{Value: 1, Time: at, Tags: metric.NewTags(map[string]string{"id": fmt.Sprint("s", i), "region": fmt.Sprint("r", i%10)})})
			}
			records = append(records, kafka.Record{Time: time.UnixMilli(at), Key: kafka.NewBytes([]byte(b.name)), Value: kafka.NewBytes(wire.AppendRecord(nil, b.name, events))})
		}
		res, err := c.Produce(ctx, &kafka.ProduceRequest{Topic: "metric-events", Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			return fmt.Errorf("cannot write to Kafka: %w", err)
		}
	}
	return nil
}

func partitions(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	return ids
}

// load posts events of other metrics, a request every 50 ms.
func (b *bench) load(ctx context.Context) error {
	if b.rate == 0 {
		return nil
	}
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	r := rand.New(rand.NewPCG(1, 1))
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		body := []byte{'['}
		for i := range b.rate / 20 {
			if i > 0 {
				body = append(body, ',')
			}
			body = fmt.Appendf(body, `{"metric_name":"load.m%d","value":%d,"tags":{"host":"h%d"}}`, i%20, r.IntN(1000), r.IntN(50))
		}
		if err := b.request(ctx, http.MethodPost, "/ingest", append(body, ']'), "", nil); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (b *bench) request(ctx context.Context, method, path string, body []byte, etag string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, b.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if etag != "" {
		req.Header.Set("If-Match", etag)
	}
	res, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

// want is the value of the window that ends at end.
func (b *bench) want(end int64) float64 {
	n := 0
	for _, at := range b.times {
		if at >= end-b.window.Milliseconds() && at < end {
			n++
		}
	}
	return float64(n * b.series)
}

// message is what the stream says, as far as it is looked at.
type message struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Widgets []struct {
		Index     int    `json:"index"`
		MetricKey string `json:"metric_key"`
	} `json:"widgets"`
	Points  [][]json.RawMessage `json:"points"`
	Updates [][]json.RawMessage `json:"updates"`
}

func (b *bench) measure(ctx context.Context) error {
	var made struct {
		ID string `json:"dashboard_id"`
	}
	control := `{"title":"Widget","widgets":[{"metric_name":"load.m1","aggregation":"count","window_seconds":5},{"metric_name":"` + b.name + `","aggregation":"max","window_seconds":60}]}`
	if err := b.request(ctx, http.MethodPost, "/dashboards", []byte(control), "", &made); err != nil {
		return err
	}
	conn, res, err := (&websocket.Dialer{Subprotocols: []string{"pulseboard.v1"}}).DialContext(ctx, "ws"+strings.TrimPrefix(b.url, "http")+"/stream/"+made.ID, nil)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	defer conn.Close() //nolint:errcheck // The measurement is over.
	if err := conn.WriteJSON(map[string]string{"type": "hello"}); err != nil {
		return err
	}
	var answered atomic.Int64 // When the edit was answered.
	go b.edit(ctx, made.ID, &answered)
	return b.watch(conn, &answered)
}

// settled is how long what was filled in may take to be read.
const settled = 20 * time.Second

// edit adds the widget some seconds after that.
func (b *bench) edit(ctx context.Context, id string, answered *atomic.Int64) {
	select {
	case <-time.After(settled + 10*time.Second + rand.N(time.Second)):
	case <-ctx.Done():
		return
	}
	w := map[string]any{"metric_name": b.name, "aggregation": b.aggregation, "window_seconds": int(b.window.Seconds())}
	if b.group != "" {
		w["group_by"] = []string{b.group}
	}
	body, _ := json.Marshal(map[string]any{"add": []any{w}}) // Of plain types.
	if err := b.request(ctx, http.MethodPatch, "/dashboards/"+id+"/widgets", body, `"1"`, nil); err != nil {
		_, _ = fmt.Fprintln(b.out, err)
	}
	answered.Store(time.Now().UnixMilli())
}

const historyWanted = 300

// watch reads the stream until the new widget is full.
func (b *bench) watch(conn *websocket.Conn, answered *atomic.Int64) error {
	w := &watch{bench: b, answered: answered, index: -1, counted: time.Now().Add(settled), lateness: make(map[bool]int64)}
	for deadline := time.Now().Add(2 * time.Minute); !w.done(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("the widget is not full: value at %d, %d points", w.valueAt, w.points)
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		if err := w.take(&m, time.Now().UnixMilli()); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
	}
	_, _ = fmt.Fprintf(b.out, "from the answer to the edit: right value after %d ms, %d points of history after %d ms\n", w.valueAt-answered.Load(), historyWanted, w.historyAt-answered.Load())
	_, _ = fmt.Fprintf(b.out, "other widgets: window end to client at most %d ms before the edit, %d ms after it\n", w.lateness[false], w.lateness[true])
	return nil
}

// watch is what the stream has brought. Moments are epoch ms, 0 = not yet.
type watch struct {
	*bench
	answered *atomic.Int64
	index    int // Of the new widget, -1 = not known yet.
	points   int // Of the new widget.

	valueAt   int64          // When its first right value came,
	historyAt int64          // and when the history was as long as wanted.
	counted   time.Time      // From when on the other widgets' results count.
	lateness  map[bool]int64 // Of the other widgets' results, in ms, before and after the edit.
}

// done reports whether the new widget has been full for three seconds.
func (w *watch) done() bool {
	return w.valueAt != 0 && w.historyAt != 0 && time.Now().UnixMilli() >= max(w.valueAt, w.historyAt)+3000
}

func (w *watch) take(m *message, now int64) error {
	switch m.Type {
	case "welcome", "dashboard":
		for _, widget := range m.Widgets {
			if strings.HasPrefix(widget.MetricKey, w.name+":"+w.aggregation) {
				w.index = widget.Index
			}
		}
	case "snapshot":
		if m.Index != w.index {
			break
		}
		for _, p := range m.Points {
			w.point(p[0], p[2], now)
		}
	case "update":
		for _, u := range m.Updates {
			if err := w.update(u, now); err != nil {
				return err
			}
		}
	}
	if w.points >= historyWanted && w.historyAt == 0 {
		w.historyAt = now
	}
	return nil
}

func (w *watch) update(u []json.RawMessage, now int64) error {
	var i int
	var end int64
	if json.Unmarshal(u[0], &i) != nil || json.Unmarshal(u[1], &end) != nil {
		return errors.New("an update that cannot be read")
	}
	switch {
	case i == w.index:
		w.point(u[1], u[4], now)
	case time.Now().After(w.counted):
		after := w.answered.Load() != 0
		w.lateness[after] = max(w.lateness[after], now-end)
	}
	return nil
}

// point counts one of the new widget.
func (w *watch) point(end, value json.RawMessage, now int64) {
	w.points++
	if w.valueAt == 0 && w.right(end, value) {
		w.valueAt = now
	}
}

// right reports whether a point of the last three seconds has the value that was written.
func (b *bench) right(endText, valueText json.RawMessage) bool {
	var end int64
	var values []*float64
	if json.Unmarshal(endText, &end) != nil || json.Unmarshal(valueText, &values) != nil || time.Now().UnixMilli()-end > 3000 {
		return false
	}
	sum := 0.0
	for _, v := range values {
		if v != nil {
			sum += *v
		}
	}
	want := b.want(end)
	if b.group == "id" { // The top series only leave the pipeline.
		want = want / float64(b.series) * float64(len(values))
	}
	return len(values) > 0 && sum == want
}
