package ingest_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
	"github.com/influxdata/influxdb-client-go/v2/api/write"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
	"pulseboard/metric"
)

// write sends lines and returns the status and the body of the answer.
func (n *node) write(path, lines string, header ...string) (int, string) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, strings.TrimSuffix(n.url, "/ingest")+path, strings.NewReader(lines))
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	text, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// values are the events in Kafka, as name, tags, value and milliseconds after base.
func (n *node) values(base time.Time) []string {
	n.t.Helper()
	var out []string
	for _, s := range n.stored() {
		for _, e := range s.events {
			at := "on arrival"
			if e.Time != 0 {
				at = fmt.Sprint(e.Time - base.UnixMilli())
			}
			if e.Kind != metric.Plain {
				at += " " + e.Kind.String()
			}
			if e.Point {
				at += " point"
			}
			if e.Nanos != 0 {
				at += fmt.Sprint(" ", e.Nanos)
			}
			out = append(out, fmt.Sprintf("%s%v %v %s", e.Metric, e.Tags, e.Value, at))
		}
	}
	slices.Sort(out)
	return out
}

// What becomes of a line: docs/ingest.md, "Influx line protocol".
func TestLines(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	at := func(unit time.Duration) string { return fmt.Sprint(now.UnixNano() / int64(unit)) }
	for _, c := range []struct{ name, query, lines, want string }{
		{"each field is a metric", "", `cpu,host=a,region=eu usage_idle=93.5,usage_user=2 ` + at(1), `cpu.usage_idle{"host":"a","region":"eu"} 93.5 0 point; cpu.usage_user{"host":"a","region":"eu"} 2 0 point`},
		{"that of the field value has the name of the measurement", "", `queue.length value=7i ` + at(1), `queue.length{} 7 0 point`},
		{"integers, unsigned, booleans", "", `m i=-3i,u=4u,t=true,f=F ` + at(1), `m.f{} 0 0 point; m.i{} -3 0 point; m.t{} 1 0 point; m.u{} 4 0 point`},
		{"no time is the time of arrival", "", `m value=1`, `m{} 1 on arrival`},
		{"an own time for each millisecond is a point", "?precision=ms", "m value=1 " + at(time.Millisecond) + "\nm value=2 " + fmt.Sprint(now.UnixMilli()+1), `m{} 1 0 point; m{} 2 1 point`},
		{"strings are passed over", "", `m s="a b,c=1",value=1,t="\"" ` + at(1), `m{} 1 0 point`},
		{"of a field twice the last counts", "", `m value=1,value=2,x=3,value=4i ` + at(1), `m.x{} 3 0 point; m{} 4 0 point`},
		{"a bad field costs none beside it", "", `case13,host=a good=1,bad=NaN,pos=+Inf,neg=-inf,last=2` + "\n" + `case13,host=b good=4`, `case13.good{"host":"a"} 1 on arrival; case13.good{"host":"b"} 4 on arrival; case13.last{"host":"a"} 2 on arrival`},
		{
			"names of Home Assistant", "", `°C,domain=sensor,entity_id=bedroom value=21.5,friendly_name_str="Bedroom"` + "\n" + `%,domain=sensor,entity_id=humidity value=48` + "\n" + `m³/h,domain=sensor,entity_id=water value=0.3` + "\n" + `kWh,domain=sensor,entity_id=energy value=0.5,device_class_str="energy"` + "\n" + `cpu\ load,host=a Used%=12`,
			`%{"domain":"sensor","entity_id":"humidity"} 48 on arrival; cpu load.Used%{"host":"a"} 12 on arrival; kWh{"domain":"sensor","entity_id":"energy"} 0.5 on arrival; m³/h{"domain":"sensor","entity_id":"water"} 0.3 on arrival; °C{"domain":"sensor","entity_id":"bedroom"} 21.5 on arrival`,
		},
		{"tags of Kubernetes, buckets of Telegraf", "", `case21,app.kubernetes.io/name=web,pod=p1 value=1` + "\n" + `case21,le=a 0.1=3i,+Inf=4i`, `case21.+Inf{"le":"a"} 4 on arrival; case21.0.1{"le":"a"} 3 on arrival; case21{"app.kubernetes.io/name":"web","pod":"p1"} 1 on arrival`},
		{"an empty tag is as absent", "", `m,a=,b=c value=1`, `m{"b":"c"} 1 on arrival`},
		{"a byte order mark", "", "\xef\xbb\xbfm value=1", `m{} 1 on arrival`},
		{"nanoseconds", "", `m value=1 ` + fmt.Sprint(now.Add(1_999_999).UnixNano()), `m{} 1 1 point 999999`},
		{"microseconds tell points apart", "?precision=us", "m value=1 " + fmt.Sprint(now.UnixMicro()+1) + "\nm value=1 " + fmt.Sprint(now.UnixMicro()+2), `m{} 1 0 point 1000; m{} 1 0 point 2000`},
		{"microseconds", "?precision=us", `m value=1 ` + at(time.Microsecond), `m{} 1 0 point`},
		{"microseconds of InfluxDB 1", "?precision=u", `m value=1 ` + at(time.Microsecond), `m{} 1 0 point`},
		{"milliseconds", "?precision=ms", `m value=1 ` + at(time.Millisecond), `m{} 1 0 point`},
		{"seconds", "?precision=s", `m value=1 ` + at(time.Second), `m{} 1 0 point`},
		{"escapes", "", `disk\ io,path=/a\ b,x=c\,d\=e value=1` + "\n" + `disk,path=/a\ b,x=c\,d\=e value=1`, `disk io{"path":"/a b","x":"c,d=e"} 1 on arrival; disk{"path":"/a b","x":"c,d=e"} 1 on arrival`},
		{"tags are sorted", "", `m,b=2,a=1 value=1`, `m{"a":"1","b":"2"} 1 on arrival`},
		{"comments, empty lines, CR LF", "", "# x\r\n\r\nm value=1\r\n", `m{} 1 on arrival`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := start(t, nil)
			n.write("/api/v2/write"+c.query, c.lines)
			if got := strings.Join(n.values(now), "; "); got != c.want {
				t.Errorf("stored\n%s, want\n%s", got, c.want)
			}
		})
	}
}

// The clients of InfluxDB send no key. A repeated body whose lines have times counts once, as
// a point of InfluxDB does; without times nobody can tell a repetition from more of the same.
func TestRepeatedLines(t *testing.T) {
	n := start(t, nil)
	now := time.Now().Truncate(time.Millisecond).UnixNano()
	timed := fmt.Sprintf("m,host=a value=1 %d\nm,host=b value=1 %d", now+1, now)
	for _, lines := range []string{timed, timed, timed + "\nm value=2", timed + "\nm value=2"} {
		if status, text := n.write("/write", lines); status != http.StatusNoContent || text != "" {
			t.Fatal(status, text)
		}
	}
	if status, text := n.write("/write", "m value=2", "Idempotency-Key", "k"); status != http.StatusNoContent {
		t.Fatal(status, text)
	}
	if status, text := n.write("/write", "m value=2", "Idempotency-Key", "k"); status != http.StatusNoContent {
		t.Fatal(status, text)
	}
	// Points need no id: they are known by series and time.
	for range 2 {
		if status, text := n.write("/write", fmt.Sprintf("p,host=a value=1 %d", now)); status != http.StatusNoContent {
			t.Fatal(status, text)
		}
	}
	count := map[string]int{}
	for _, s := range n.stored() {
		if s.key == "p" && !s.events[0].Point {
			t.Errorf("no point: %+v", s.events)
		}
		count[s.id]++
	}
	var times []int
	for _, c := range count {
		times = append(times, c)
	}
	if slices.Sort(times); fmt.Sprint(times) != "[1 1 1 1 2 2]" {
		t.Errorf("ids %v: want those of the timed lines and of the key twice, of the others and of points once", count)
	}
}

func clientVersion(t *testing.T) string {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), "go", "list", "-m", "github.com/influxdata/influxdb-client-go/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// The official Go client of InfluxDB 2: a token, gzip, points of several types, a
// batch that Kafka does not acknowledge at first, and errors that it understands.
func TestInfluxClient(t *testing.T) {
	t.Logf("the sender is %s", clientVersion(t))
	n := start(t, func(c *ingest.Config) { c.Guard = testenv.Guard(t, "ingest"); c.DeliveryTimeout = time.Second })
	url := strings.TrimSuffix(n.url, "/ingest")
	now := time.Now().Truncate(time.Second)
	client := influxdb2.NewClientWithOptions(url, "ingest", influxdb2.DefaultOptions().SetUseGZip(true).SetPrecision(time.Millisecond))
	defer client.Close()
	blocking := client.WriteAPIBlocking("org", "bucket")
	points := []*write.Point{
		influxdb2.NewPoint("cpu", map[string]string{"host": "a b", "cpu": "0"}, map[string]any{"usage_idle": 93.5, "cores": 4, "up": true}, now),
		influxdb2.NewPoint("requests", map[string]string{"host": "a"}, map[string]any{"value": uint64(12)}, now.Add(-time.Second)),
	}
	if err := blocking.WritePoint(t.Context(), points...); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`cpu.cores{"cpu":"0","host":"a b"} 4 0 point`, `cpu.up{"cpu":"0","host":"a b"} 1 0 point`, `cpu.usage_idle{"cpu":"0","host":"a b"} 93.5 0 point`, `requests{"host":"a"} 12 -1000 point`,
	}
	if got := n.values(now); !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}

	t.Run("a partial write is an error that names the value", func(t *testing.T) {
		err := blocking.WriteRecord(t.Context(), `system uptime=1i,load=NaN`)
		if err == nil || !strings.Contains(err.Error(), "invalid") || !strings.Contains(err.Error(), "partial write: 1 of 2 values are refused: system.load: value_not_finite") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a wrong token", func(t *testing.T) {
		other := influxdb2.NewClient(url, "nobody")
		defer other.Close()
		err := other.WriteAPIBlocking("org", "bucket").WriteRecord(t.Context(), "m value=1")
		if err == nil || !strings.Contains(err.Error(), "unauthorized") {
			t.Errorf("%v", err)
		}
	})
	t.Run("503 is repeated by the client until it is stored, and counts once", func(t *testing.T) { clientRetries(t, n, url) })
}

func clientRetries(t *testing.T, n *node, url string) {
	t.Helper()
	before := len(n.stored())
	first, told := true, make(chan struct{})
	n.kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		n.kafka.KeepControl()
		// It is stored, but only after ingest has given it up.
		if first {
			first = false
			n.kafka.SleepControl(func() { <-told })
		}
		return nil, nil, false
	})
	client := influxdb2.NewClientWithOptions(url, "ingest", influxdb2.DefaultOptions().SetRetryInterval(100).SetMaxRetryInterval(300).SetBatchSize(10).SetFlushInterval(50))
	w := client.WriteAPI("org", "bucket")
	failed := make(chan influxhttp.Error, 10)
	w.SetWriteFailedCallback(func(_ string, err influxhttp.Error, _ uint) bool {
		failed <- err
		return true // Try again.
	})
	w.WritePoint(influxdb2.NewPoint("again", nil, map[string]any{"value": 1}, time.Now()))
	w.Flush()
	select {
	case err := <-failed:
		close(told)
		if err.StatusCode != http.StatusServiceUnavailable || err.RetryAfter == 0 {
			t.Errorf("the client was told %+v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the first try was answered well")
	}
	ids := map[string]int{}
	for limit := time.Now().Add(2 * time.Minute); ; <-time.After(50 * time.Millisecond) {
		clear(ids)
		for _, s := range n.stored() {
			if s.key == "again" {
				ids[s.id]++
			}
		}
		w.WritePoint(influxdb2.NewPoint("other", nil, map[string]any{"value": 1}, time.Now())) // The client retries when it writes.
		w.Flush()
		if total(ids) >= 2 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("the client did not repeat it: %v, %d records before", ids, before)
		}
	}
	client.Close()
	if len(ids) != 1 {
		t.Errorf("the repetition has another id: %v", ids)
	}
}

func total(count map[string]int) (n int) {
	for _, c := range count {
		n += c
	}
	return n
}

// packed is what clients send with Content-Encoding: gzip.
func TestLinesPacked(t *testing.T) {
	n := start(t, nil)
	var b strings.Builder
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, "m value=1\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if status, text := n.write("/api/v2/write", b.String(), "Content-Encoding", "gzip"); status != http.StatusNoContent {
		t.Error(status, text)
	}
	if got := n.values(time.Now()); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}
