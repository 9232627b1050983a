package ingest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/e2e/testenv"
	"pulseboard/ingest"
	"pulseboard/internal/auth"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/service"
)

// begin sends the head and the first bytes of a body of 16 MiB, from an address
// of this machine, and leaves it so until the test ends.
func begin(t *testing.T, from, to, token string, sent int) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Skipf("this system has no address %s: %v", from, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var header string
	if token != "" {
		header = "Authorization: Bearer " + token + "\r\n"
	}
	head := fmt.Sprintf("POST /ingest HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", header, 16<<20-2)
	if _, err := c.Write(append([]byte(head), bytes.Repeat([]byte{' '}, sent)...)); err != nil {
		t.Fatal(err)
	}
	return c
}

// seventeen are begun at once: each in its own goroutine, since a server that refuses does not read.
func seventeen(t *testing.T, from func(i int) string, to, token string, sent int) (answers chan int) {
	t.Helper()
	answers = make(chan int, 17)
	for i := range 17 {
		c := begin(t, from(i), to, token, min(sent, 1000))
		go func() {
			_, _ = c.Write(make([]byte, max(0, sent-1000))) // Refused in the middle.
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil {
				_ = res.Body.Close()
				answers <- res.StatusCode
			}
		}()
	}
	return answers
}

// Bodies that are announced and do not come stop nobody, from one address or many,
// with a token or without.
func TestIdleBodiesStopNobody(t *testing.T) {
	for name, c := range map[string]struct {
		from  func(i int) string
		guard bool
		sent  int
	}{
		"one address":                          {func(int) string { return "127.0.0.1" }, false, 0},
		"many addresses":                       {func(i int) string { return fmt.Sprintf("127.0.0.%d", 10+i) }, false, 0},
		"one address, a token":                 {func(int) string { return "127.0.0.1" }, true, 0},
		"many addresses, a token, a beginning": {func(i int) string { return fmt.Sprintf("127.0.0.%d", 10+i) }, true, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			var token string
			n := startServed(t, func(cfg *ingest.Config) {
				if c.guard {
					token, cfg.Guard = string(auth.Ingest), testenv.Guard(t, auth.Ingest, auth.Admin)
				}
			})
			seventeen(t, c.from, n.address, token, c.sent)
			for i := range 50 {
				for _, as := range []string{"127.0.0.1", "127.0.0.200"} {
					if status := honest(t, n.address, as, token); status != http.StatusOK {
						t.Fatalf("request %d of %s: %d", i, as, status)
					}
				}
			}
		})
	}
}

// One token that sends as much as it can leaves another its part: it is told so.
func TestATokenHasAShare(t *testing.T) {
	n := startServed(t, func(cfg *ingest.Config) {
		cfg.Guard, cfg.MaxPending = testenv.Guard(t, auth.Ingest, auth.Admin), 32<<20
	})
	answers := seventeen(t, func(int) string { return "127.0.0.1" }, n.address, string(auth.Ingest), 4<<20)
	if got := <-answers; got != http.StatusTooManyRequests { // Once one is refused, the token holds its share.
		t.Errorf("the greedy token is answered %d", got)
	}
	for i := range 20 {
		if status := honest(t, n.address, "127.0.0.1", string(auth.Admin)); status != http.StatusOK {
			t.Fatalf("request %d of another token of the same address: %d", i, status)
		}
	}
}

// A refusal names the bound that was reached, and when to come again.
func TestSharesAreTold(t *testing.T) {
	for _, guarded := range []bool{true, false} {
		want := "requests of 127.0.0.1 hold as much of this node's memory as those of one address may"
		var token string
		n := startServed(t, func(cfg *ingest.Config) {
			cfg.MaxPending = 32 << 20
			if guarded {
				token, cfg.Guard = string(auth.Ingest), testenv.Guard(t, auth.Ingest)
				want = `requests with the token \"ingest\" hold as much of this node's memory as those of one token may`
			}
		})
		<-seventeen(t, func(int) string { return "127.0.0.1" }, n.address, token, 6<<20)
		c := begin(t, "127.0.0.1", n.address, token, 0)
		go func() { _, _ = c.Write(make([]byte, 15<<20)) }()
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" || !strings.Contains(string(text), want) {
			t.Errorf("%d %v %s %v", res.StatusCode, res.Header, text, err)
		}
	}
}

// slow is a body of which the server says that it comes too slowly.
type slow struct{ io.Reader }

func (s slow) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil {
		err = service.ErrSlowBody
	}
	return n, err
}

// A body that comes too slowly is answered 408, whatever it is packed in.
func TestSlowBodiesAreTold(t *testing.T) {
	n := startServed(t, nil)
	text := []byte(`{"metric_name":"m","value":1}`)
	zipped := new(bytes.Buffer)
	z := gzip.NewWriter(zipped)
	_, _ = z.Write(text)
	_ = z.Close()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for encoding, whole := range map[string][]byte{"": text, "gzip": zipped.Bytes(), "zstd": encoder.EncodeAll(text, nil)} {
		for _, cut := range []int{0, 1, 5, len(whole) - 1} {
			for _, path := range []string{"/ingest", "/write"} {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, slow{bytes.NewReader(whole[:cut])})
				r.Header.Set("Content-Type", "application/json")
				if encoding != "" {
					r.Header.Set("Content-Encoding", encoding)
				}
				w := httptest.NewRecorder()
				n.service.Handler().ServeHTTP(w, r)
				if w.Code != http.StatusRequestTimeout || !strings.Contains(w.Body.String(), "16 KiB a second") {
					t.Errorf("%s of %q, %d bytes: %d %s", path, encoding, cut, w.Code, w.Body)
				}
			}
		}
	}
}

// What is unpacked counts: a body of a kilobyte that grows a thousandfold holds
// what it has grown to.
func TestUnpackedBytesCount(t *testing.T) {
	n := startServed(t, nil)
	packed := new(bytes.Buffer)
	z := gzip.NewWriter(packed)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 2<<20))
	_ = z.Flush() // Its end does not come.
	c := n.open(t, fmt.Sprintf("POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", packed.Len()+100))
	if _, err := c.Write(packed.Bytes()); err != nil {
		t.Fatal(err)
	}
	if !n.eventually(t, func() bool { return n.pending(t) >= 1<<20 }) {
		t.Errorf("%d packed bytes hold %d", packed.Len(), n.pending(t))
	}
	_ = c.Close()
	if !n.eventually(t, func() bool { return n.pending(t) == 0 }) {
		t.Error("they are not given back")
	}
}

// One line of more values than a request may have is refused when it has had as
// many, not at its end.
func TestValuesAreCountedWhileALineIsRead(t *testing.T) {
	var line strings.Builder
	line.WriteString("m ")
	for i := range 100 {
		fmt.Fprintf(&line, "f%d=1,", i)
	}
	line.WriteString("=broken") // Who reads on to here calls the line malformed, and takes none of it.
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s, err := ingest.New(ingest.Config{Kafka: kafkaconn.At(cluster.ListenAddrs()...), MaxEvents: 50})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/write", strings.NewReader(line.String())))
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
