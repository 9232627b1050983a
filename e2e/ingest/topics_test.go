package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"pulseboard/e2e/testenv"
)

// bridged is a Kafka, in which others write to topics of their own, a program that shows what is in metric-events, and an ingest that
// reads the topics.
type bridged struct {
	t       *testing.T
	kafka   string
	board   *board
	log     *testenv.Buffer
	ingest  *testenv.Program
	command []string
	url     string
}

func startBridged(t *testing.T, formats ...string) *bridged {
	t.Helper()
	var topics []testenv.Topic
	for _, f := range formats {
		name, _, _ := strings.Cut(f, "=")
		topics = append(topics, testenv.Topic{Name: name, Partitions: 3})
	}
	b := &bridged{t: t, kafka: testenv.StartKafka(t, 1, topics...).Addr(0), log: new(testenv.Buffer)}
	b.board = startBoard(t, t.TempDir(), "--kafka", b.kafka)
	at := fmt.Sprintf("127.0.0.1:%d", testenv.Ports(t, 1))
	b.url = "http://" + at
	b.command = []string{"--kafka", b.kafka, "--addr", at}
	for _, f := range formats {
		b.command = append(b.command, "--topic-format", f)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(testenv.Page(b.log.String()))
		}
	})
	b.start()
	return b
}

func (b *bridged) start() {
	b.ingest = testenv.Start(b.t, b.log, testenv.Build(b.t, "ingest"), b.command...)
}

// kill kills it (-9) and starts it again.
func (b *bridged) kill() {
	b.ingest.Kill()
	b.start()
}

// killAsItWrites kills it (-9), starts it again, and does the same as soon as the second one, which has much to catch up with, has written
// anything: before it has committed that, as a rule.
func (b *bridged) killAsItWrites() {
	b.t.Helper()
	b.kill()
	client := &kafka.Client{Addr: kafka.TCP(b.kafka)}
	ask := make([]kafka.OffsetRequest, 16)
	for p := range ask {
		ask[p] = kafka.LastOffsetOf(p)
	}
	written := func() (n int64) {
		res, err := client.ListOffsets(b.t.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{"metric-events": ask}})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, p := range res.Topics["metric-events"] {
			n += p.LastOffset
		}
		return n
	}
	before := written()
	for limit := time.Now().Add(time.Minute); written() == before; {
		if time.Now().After(limit) {
			b.t.Fatal("nothing was written for a minute")
		}
	}
	b.kill()
}

// metrics are the lines of its metrics that have a text in them.
func (b *bridged) metrics(with string) (lines []string, err error) {
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		return nil, err
	}
	for line := range strings.Lines(text.String()) {
		if strings.Contains(line, with) && line[0] != '#' {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines, nil
}

// writes waits until it has decided records of every topic since it was started.
func (b *bridged) writes(formats ...string) {
	b.t.Helper()
	for _, f := range formats {
		name, _, _ := strings.Cut(f, "=")
		testenv.Until(b.t, "records of "+name+" are written", func(context.Context) error {
			lines, err := b.metrics(`pulseboard_ingest_topic_records_total{result="stored",topic="` + name + `"}`)
			if err == nil && (len(lines) != 1 || strings.HasSuffix(lines[0], " 0")) {
				err = fmt.Errorf("%v", lines)
			}
			return err
		})
	}
}

// right waits until widgets show what an oracle says, and looks at whether anything was refused, and how often a record was written again.
func (b *bridged) right(want []*shown) {
	b.t.Helper()
	b.board.show(want)
	b.board.untilShown(want)
	refused, err := b.metrics("pulseboard_ingest_events_rejected_total")
	letters, err2 := b.metrics("pulseboard_ingest_topic_dead_letters_total")
	if err := errors.Join(err, err2); err != nil || len(refused) > 0 || len(letters) > 0 {
		b.t.Errorf("%v; refused %v, dead letters %v", err, refused, letters)
	}
	client := &kafka.Client{Addr: kafka.TCP(b.kafka)}
	seen, again := map[string]bool{}, 0
	for p := range 16 {
		testenv.ReadPartition(b.t, client, "metric-events", p, func(r *kafka.Record) {
			for _, h := range r.Headers {
				if h.Key != "id" {
					continue
				}
				if seen[string(h.Value)] {
					again++
				}
				seen[string(h.Value)] = true
			}
		})
	}
	b.t.Logf("%d records were written, %d of them again", len(seen), again)
}

// A real Telegraf writes the same metrics to three topics, as lines, as JSON and as remote write, and to a file: what is shown is what the
// file has, though the process between the topics was killed (-9) twice.
func TestTelegrafWritesTopics(t *testing.T) {
	testenv.NeedReal(t)
	formats := []string{"tele.lines=influx", "tele.json=telegraf", "tele.remote=prometheusremotewrite"}
	b := startBridged(t, formats...)
	lines, config := filepath.Join(t.TempDir(), "lines"), filepath.Join(t.TempDir(), "telegraf.conf")
	text := fmt.Sprintf(`
[agent]
  interval = "100ms"
  flush_interval = "200ms"
  precision = "1ms"
  metric_batch_size = 7
  omit_hostname = true
[global_tags]
  host = "box a"
[[inputs.mock]]
  metric_name = "tele"
  [[inputs.mock.step]]
    name = "total"
    start = 0.0
    step = 1.5
  [[inputs.mock.constant]]
    name = "text"
    value = "a string"
[[outputs.file]]
  files = [%q]
  data_format = "influx"
`, lines)
	for _, o := range [][2]string{{"tele.lines", "influx"}, {"tele.json", "json"}, {"tele.remote", "prometheusremotewrite"}} {
		prefix := strings.ReplaceAll(strings.TrimPrefix(o[0], "tele."), ".", "_") + "_"
		text += fmt.Sprintf(`
[[outputs.kafka]]
  brokers = [%q]
  topic = %q
  routing_key = "random"
  required_acks = -1
  name_prefix = %q
  data_format = %q
`, b.kafka, o[0], prefix, o[1])
		if o[1] == "json" {
			text += "  json_timestamp_units = \"1ms\"\n"
		}
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startTelegraf(t, config)
	b.writes(formats...)
	b.killAsItWrites()
	b.writes(formats...)
	if err := p.Stop(); err != nil { // It writes what it has.
		t.Fatal(err)
	}
	r := written(t, lines, "total")
	var want []*shown
	for _, metric := range []string{"lines_tele.total", "json_tele.total", "remote_tele_total"} {
		for _, s := range r.shown("total", false) {
			want = append(want, &shown{metric, s.aggregation, s.values})
		}
	}
	b.right(want)
}

// The Kafka exporter of OpenTelemetry's collector writes in both its encodings; what is shown is what it was given, though the process
// between the topics was killed (-9) twice.
func TestOpenTelemetryWritesTopics(t *testing.T) {
	testenv.NeedReal(t)
	formats := []string{"otlp.proto=otlp_proto", "otlp.json=otlp_json"}
	b := startBridged(t, formats...)
	logs := map[string]*testenv.Buffer{}
	var programs []*testenv.Program
	for _, encoding := range []string{"proto", "json"} {
		logs[encoding] = new(testenv.Buffer)
		programs = append(programs, testenv.Start(t, logs[encoding], testenv.KafkaExporter(), b.kafka, "otlp."+encoding, "otlp_"+encoding, "kafka."+encoding, "1500"))
	}
	b.writes(formats...)
	b.killAsItWrites()
	for _, p := range programs {
		<-p.Done()
	}
	var want []*shown
	for _, log := range logs {
		var calls []call
		for line := range strings.Lines(log.String()) {
			if !strings.Contains(line, `"Metric"`) {
				continue // Of its log.
			}
			var c call
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			calls = append(calls, c)
		}
		if len(calls) != 1500*8 {
			t.Fatalf("it has sent %d values: %s", len(calls), testenv.Page(log.String()))
		}
		want = append(want, otlpOracle(calls)...)
	}
	b.right(want)
}

// Kafka Connect reads files and writes rows as JSON, with and without schemas, and bare numbers; what is shown is what the files have,
// though the process between the topics was killed (-9) twice.
func TestConnectWritesTopics(t *testing.T) {
	testenv.NeedReal(t)
	formats := []string{"rows.schema=connect?tags=host", "rows.plain=connect?tags=host&name=plain&kind=gauge", "bare=connect"}
	b := startBridged(t, formats...)
	dir := t.TempDir()
	properties := func(name string, lines ...string) string {
		path := filepath.Join(dir, name+".properties")
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const connect = "org.apache.kafka.connect."
	files := map[string]*os.File{}
	source := func(topic, schemas string, transforms ...string) string {
		file, err := os.Create(filepath.Join(dir, topic))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		files[topic] = file
		return properties(topic, append(transforms, "name="+topic, "topic="+topic, "connector.class="+connect+"file.FileStreamSourceConnector", "file="+file.Name(), "tasks.max=1",
			"value.converter="+connect+"json.JsonConverter", "value.converter.schemas.enable="+schemas)...)
	}
	rows := []string{
		"transforms=row,number,host", "transforms.row.type=" + connect + "transforms.HoistField$Value", "transforms.row.field=price",
		"transforms.number.type=" + connect + "transforms.Cast$Value", "transforms.number.spec=price:float64",
		"transforms.host.type=" + connect + "transforms.InsertField$Value", "transforms.host.static.field=host", "transforms.host.static.value=box",
	}
	bare := []string{"transforms=number", "transforms.number.type=" + connect + "transforms.Cast$Value", "transforms.number.spec=float64"}
	worker := properties("worker", "bootstrap.servers="+b.kafka, "key.converter="+connect+"storage.StringConverter", "value.converter="+connect+"json.JsonConverter",
		"offset.storage.file.filename="+filepath.Join(dir, "offsets"), "offset.flush.interval.ms=500", fmt.Sprintf("listeners=http://127.0.0.1:%d", testenv.Ports(t, 1)))
	arguments := []string{
		"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", testenv.ConnectJars(), connect + "cli.ConnectStandalone", worker,
		source("rows.schema", "true", rows...), source("rows.plain", "false", rows...), source("bare", "false", bare...),
	}
	log := new(testenv.Buffer)
	testenv.Start(t, log, "java", arguments...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(testenv.Page(log.String()))
		}
	})
	const n = 3000
	sum := float64(n*n) / 2
	written := make(chan error, 1)
	go func() {
		for i := range n {
			for _, file := range files {
				if _, err := fmt.Fprintf(file, "%d.5\n", i); err != nil {
					written <- err
					return
				}
			}
			<-time.After(5 * time.Millisecond)
		}
		written <- nil
	}()
	b.writes(formats...)
	b.killAsItWrites()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	var want []*shown
	for topic, metric := range map[string]string{"rows.schema": "rows.schema.price", "rows.plain": "plain.price", "bare": "bare"} {
		host := "box"
		if topic == "bare" {
			host = ""
		}
		want = append(want, &shown{metric, "count", map[string]float64{host: float64(n)}}, &shown{metric, "sum", map[string]float64{host: sum}})
	}
	want = append(want, &shown{"plain.price", "last_max", map[string]float64{"box": n - 0.5}})
	b.right(want)
}

// Rows of every type of Kafka Connect, as its converter writes them, with schemas and without.
func TestConnectTypes(t *testing.T) {
	testenv.NeedReal(t)
	const n = 100
	formats := []string{"with=connect?tags=host&time=at", "without=connect?tags=host&time=at"}
	b := startBridged(t, formats...)
	for topic, schemas := range map[string]string{"with": "true", "without": "false"} {
		log := new(testenv.Buffer)
		p := testenv.Start(t, log, "java", "-cp", testenv.ConnectJars(), "testdata/ConnectRows.java", b.kafka, topic, schemas, fmt.Sprint(n))
		if <-p.Done(); strings.Contains(log.String(), "Exception") {
			t.Fatal(log)
		}
	}
	oracle := map[string]func(i int) float64{
		"with.price": func(i int) float64 { return float64(i*25-700) / 100 },
		"n":          func(i int) float64 { return float64(i) },
		"small":      func(int) float64 { return -3 },
		"ok": func(i int) float64 {
			if i%4 == 0 {
				return 1
			}
			return 0
		},
		"inner.load":   func(int) float64 { return 0.5 },
		"attributes.x": func(i int) float64 { return float64(i) },
	}
	var want []*shown
	for name, of := range oracle {
		count, sum := map[string]float64{}, map[string]float64{}
		for i := range n {
			host := fmt.Sprintf("h%d", i%2)
			count[host]++
			sum[host] += of(i)
		}
		topics := []string{"with.", "without."}
		if strings.HasPrefix(name, "with.") {
			topics = []string{""}
		}
		for _, topic := range topics {
			want = append(want, &shown{topic + name, "count", count}, &shown{topic + name, "sum", sum})
		}
	}
	// Without a schema a Decimal is a text, and a Timestamp a number like any other.
	for _, none := range []string{"without.price", "with.made", "with.raw", "with.list", "with.missing", "with.note"} {
		want = append(want, &shown{none, "count", map[string]float64{}})
	}
	b.right(want)
	left, err := b.metrics("pulseboard_ingest_left_out_total")
	for _, line := range []string{
		`pulseboard_ingest_left_out_total{format="connect",reason="time"} 100`,
		`pulseboard_ingest_left_out_total{format="connect",reason="string"} 300`, // raw, and the price without a schema.
		`pulseboard_ingest_left_out_total{format="connect",reason="neither_number_nor_text"} 200`,
		`pulseboard_ingest_topic_records_total{result="nothing",topic="with"} 100`,
	} {
		if strings.HasPrefix(line, "pulseboard_ingest_topic") {
			left, err = b.metrics("pulseboard_ingest_topic_records_total")
		}
		if !slices.Contains(left, line) {
			t.Errorf("%v; there is no %s: %v", err, line, left)
		}
	}
}
