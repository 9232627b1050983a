package ingest_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"pulseboard/ingest"
	"pulseboard/internal/host"
	"pulseboard/internal/kafkaconn"
	"pulseboard/internal/service"
)

// served is an ingest service behind the server of our processes, on a port.
type served struct {
	address string
	service *ingest.Service
	metrics *prometheus.Registry
}

func startServed(t *testing.T, change func(*ingest.Config)) *served {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	log := slog.New(slog.DiscardHandler)
	n := &served{metrics: prometheus.NewRegistry()}
	cfg := ingest.Config{Kafka: kafkaconn.At(cluster.ListenAddrs()...), Shared: host.Shared{Metrics: n.metrics, Log: log}}
	if change != nil {
		change(&cfg)
	}
	if n.service, err = ingest.New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := n.service.EnsureTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	server, err := service.NewServer(service.ServerConfig{Tokens: cfg.Guard != nil, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := service.Listen(t.Context(), "--addr", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.address = ln.Addr().String()
	running, stop := context.WithCancel(context.Background())
	serving, end := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(serving, ln, n.service.Handler()) }()
	go func() { ended <- n.service.Run(running) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *served) open(t *testing.T, head string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", n.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	return c
}

// pending is what the budget has given out.
func (n *served) pending(t *testing.T) int {
	t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "pulseboard_ingest_pending_bytes" {
			return int(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	t.Fatal("there is no pulseboard_ingest_pending_bytes")
	return 0
}

// eventually waits for a condition, but not for ever.
func (n *served) eventually(t *testing.T, is func() bool) bool {
	t.Helper()
	every, limit := time.NewTicker(time.Millisecond), time.After(time.Minute)
	defer every.Stop()
	for !is() {
		select {
		case <-every.C:
		case <-limit:
			return false
		}
	}
	return true
}

// honest sends one event from an address, on a connection of its own.
func honest(t *testing.T, address, from, token string) int {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("this system has no address %s: %v", from, err)
	}
	defer c.Close() //nolint:errcheck // The answer has come.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/ingest", strings.NewReader(`{"metric_name":"victim","value":1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if err := req.Write(c); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
