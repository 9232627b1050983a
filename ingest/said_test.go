package ingest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
)

// said are the records that say something of their metrics, with how many events and the chunk.
func (n *node) said() (all []string) {
	n.t.Helper()
	for _, s := range n.stored() {
		if s.said != "" {
			_, chunk, _ := strings.Cut(s.id, "-")
			all = append(all, fmt.Sprintf("%s (%d events, chunk %s)", s.said, len(s.events), chunk))
		}
	}
	slices.Sort(all)
	return all
}

func (n *node) remoteWrite(version, status int, fields ...[]byte) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, strings.TrimSuffix(n.url, "/ingest")+"/api/v1/write", bytes.NewReader(s2.EncodeSnappy(nil, bytes.Join(fields, nil))))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Content-Type", map[int]string{1: "application/x-protobuf", 2: "application/x-protobuf;proto=io.prometheus.write.v2.Request"}[version])
	req.Header.Set("Content-Encoding", "snappy")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != status {
		n.t.Errorf("answered %d", res.StatusCode)
	}
}

// What a sender says of a metric ends a record of it once in a minute, changes no id, and is stored with no event at all too.
func TestUnitsAreSaid(t *testing.T) {
	n := start(t, nil)
	now := time.Now()
	n.service.SetNow(func() time.Time { return now })
	begin := now.Truncate(time.Minute)
	now = begin.Add(time.Second)

	body := fmt.Sprintf(`[{"metric_name":"a","value":1,"unit":"ms","help":"How long.","event_time":%d},{"metric_name":"b","value":1,"event_time":%[1]d},
		{"metric_name":"a","value":2,"unit":"s","event_time":%[1]d}]`, now.UnixMilli())
	for range 3 {
		n.post(body, "Idempotency-Key", "k")
	}
	ids := map[string]int{}
	for _, s := range n.stored() {
		ids[fmt.Sprintf("%s %s %d", s.key, s.id, len(s.events))]++
	}
	for id, times := range ids {
		if times != 3 && !strings.HasSuffix(id, " 0") {
			t.Errorf("%s is there %d times, in %v", id, times, ids)
		}
	}
	if got, want := n.said(), []string{"a ms: How long. (2 events, chunk 0)", "a s:  (0 events, chunk 3)"}; !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
	now = begin.Add(time.Minute)
	n.post(body, "Idempotency-Key", "k")
	if got := n.said(); len(got) != 4 {
		t.Errorf("a minute later %q are said", got)
	}
}

// What remote write says, of both versions.
func TestRemoteWriteSaysUnits(t *testing.T) {
	n := start(t, nil)
	now := time.Now().UnixMilli()
	var second [][]byte
	for _, symbol := range []string{"", "__name__", "x_seconds_count", "x_seconds_sum", "How long it took.", "seconds", "up", "le"} {
		second = append(second, protoMessage(4, []byte(symbol)))
	}
	sample := protoMessage(2, protoDouble(1, 1), protoVarint(2, now))
	about := func(kind, help, unit int64) []byte {
		return protoMessage(5, protoVarint(1, kind), protoVarint(3, help), protoVarint(4, unit))
	}
	for range 2 {
		n.remoteWrite(2, 204, append(second,
			protoMessage(5, protoMessage(1, []byte{1, 2}), sample, about(3, 4, 5)),
			protoMessage(5, protoMessage(1, []byte{1, 3}), sample, about(3, 4, 5)),
			protoMessage(5, protoMessage(1, []byte{1, 6}), sample, about(2, 99, 0)))...)
	}
	family := func(kind int64, name, help, unit string) []byte {
		return protoMessage(3, protoVarint(1, kind), protoMessage(2, []byte(name)), protoMessage(4, []byte(help)), protoMessage(5, []byte(unit)))
	}
	for range 2 {
		n.remoteWrite(1, 204, family(1, "requests", "Requests.", ""), family(5, "size", "", "bytes"), family(2, "", "Nothing.", ""), family(2, "plain", "", ""))
	}
	want := []string{
		"requests : Requests. (0 events, chunk 0)", "requests_total : Requests. (0 events, chunk 1)",
		"size B:  (0 events, chunk 2)", "size_count 1:  (0 events, chunk 4)", "size_sum B:  (0 events, chunk 3)",
		"x_seconds_count 1: How long it took. (1 events, chunk 0)", "x_seconds_sum s: How long it took. (1 events, chunk 1)",
	}
	if got := n.said(); !slices.Equal(got, want) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
