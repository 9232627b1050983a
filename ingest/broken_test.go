package ingest_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
	"pulseboard/internal/kafkaconn"
)

var update = flag.Bool("update", false, "write the answers of testdata/broken anew")

// What is wrong with a request, and what it is answered, word for word. Each
// file of testdata/broken is a request: a comment that says the rule, the
// request line, headers, an empty line, and the body as it is. Beside it lies
// the answer. Folders are situations: with tokens, without Kafka, and so on.
func TestBrokenRequests(t *testing.T) {
	clock := func() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) }
	folders := map[string]func(*testing.T) string{
		"plain": func(t *testing.T) string {
			t.Helper()
			return serveBroken(t, newKafka(t).ListenAddrs(), clock, nil)
		},
		"strings": func(t *testing.T) string {
			t.Helper()
			return serveBroken(t, newKafka(t).ListenAddrs(), clock, func(c *ingest.Config) { c.RefuseStrings = true })
		},
		"tokens": func(t *testing.T) string {
			t.Helper()
			return serveBroken(t, newKafka(t).ListenAddrs(), clock, func(c *ingest.Config) { c.Guard = testenv.Guard(t, "ingest", "view") })
		},
		"away": func(t *testing.T) string {
			t.Helper()
			return serveBroken(t, []string{"127.0.0.1:1"}, clock, nil)
		},
		"refusing": func(t *testing.T) string {
			t.Helper()
			k := newKafka(t)
			refusePartitionOf(k, "bad")
			return serveBroken(t, k.ListenAddrs(), clock, func(c *ingest.Config) { c.DeliveryTimeout = 300 * time.Millisecond })
		},
		"busy": func(t *testing.T) string {
			t.Helper()
			k := newKafka(t)
			held, release := make(chan struct{}, 1), make(chan struct{})
			k.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				select {
				case held <- struct{}{}:
				default:
				}
				k.SleepControl(func() { <-release })
				return nil, nil, false
			})
			addr := serveBroken(t, k.ListenAddrs(), clock, func(c *ingest.Config) { c.MaxBody, c.MaxPending, c.DeliveryTimeout = 1000, 1000, time.Minute })
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				first := "POST /ingest\nContent-Type: application/json\n\n" + `{"metric_name":"m","value":1}` + strings.Repeat(" ", 700)
				send(t, addr, []byte(first))
			}()
			<-held
			t.Cleanup(func() { close(release); <-ended })
			return addr
		},
	}
	for folder, begin := range folders {
		t.Run(folder, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join("testdata", "broken", folder, "*.http"))
			if err != nil || len(files) == 0 {
				t.Fatal("no requests", err)
			}
			addr := begin(t)
			for _, file := range files {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
					text, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					compareGolden(t, strings.TrimSuffix(file, ".http")+".golden", send(t, addr, text))
				})
			}
		})
	}
}

func compareGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with go test ./ingest -run TestBrokenRequests -update, and read it", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("it is answered\n%s\nand should be\n%s", got, want)
	}
}

func newKafka(t *testing.T) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(16, "metric-events"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

func refusePartitionOf(k *kfake.Cluster, name string) {
	bad := int32(javaPartition(name, 16))
	k.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if r := req.(*kmsg.ProduceRequest); r.Topics[0].Partitions[0].Partition == bad {
			return refuseProduce(r), nil, true
		}
		return nil, nil, false
	})
}

func serveBroken(t *testing.T, brokers []string, clock func() time.Time, change func(*ingest.Config)) string {
	t.Helper()
	cfg := ingest.Config{Kafka: kafkaconn.At(brokers...)}
	if change != nil {
		change(&cfg)
	}
	s, err := ingest.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.SetNow(clock)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// send writes a request of testdata as it is and returns what of the answer is promised.
func send(t *testing.T, addr string, text []byte) []byte {
	t.Helper()
	head, body, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		t.Fatal("there is no empty line after the headers")
	}
	var b bytes.Buffer
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	first := true
	for line := range strings.SplitSeq(string(head), "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case first:
			line += " HTTP/1.1\r\nHost: ingest\r\nConnection: close"
			first = false
		case strings.HasPrefix(line, "Content-Length:"):
			length = ""
		}
		b.WriteString(line + "\r\n")
	}
	b.WriteString(length + "\r\n")
	b.Write(body)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer conn.Close() //nolint:errcheck // It was read to its end.
	if _, err := conn.Write(b.Bytes()); err != nil {
		t.Error(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	var out bytes.Buffer
	fmt.Fprintln(&out, res.Status)
	for _, name := range []string{"Content-Type", "Retry-After", "WWW-Authenticate"} {
		if v := res.Header.Get(name); v != "" {
			fmt.Fprintf(&out, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&out, "\n%s", answer)
	return out.Bytes()
}
