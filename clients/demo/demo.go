// Package demo sends this machine's own figures through POST /ingest, like any
// producer. deploy/dashboards shows them.
package demo

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	gnet "github.com/shirou/gopsutil/v4/net"

	"pulseboard/clients/rest"
	"pulseboard/internal/clock"
)

// Rates returns running totals of the system itself, such as events that were
// counted, which the demo turns into rates per second.
type Rates func(context.Context) (map[string]float64, error)

// Config is where the figures go.
type Config struct {
	IngestURL string      // http://host:port/ingest.
	TLS       *tls.Config // By which certificates a server over https is verified; nil = those that the system trusts.
	Token     string      // With the scope ingest; "" where none is needed.
	Host      string      // Value of the tag host.
	Every     time.Duration
	Rates     Rates
	Log       *slog.Logger
}

// Run samples and sends until ctx ends.
func Run(ctx context.Context, c Config) {
	s := sampler{config: c, before: make(map[string]float64)}
	client := &rest.Client{
		HTTP:  http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: c.TLS}},
		Token: func() (string, error) { return c.Token, nil },
	}
	defer client.HTTP.CloseIdleConnections()
	failing := false
	for range clock.Every(ctx, c.Every) {
		err := post(ctx, client, c.IngestURL, s.sample(ctx))
		if err != nil && ctx.Err() == nil && !failing {
			c.Log.Warn("the demo cannot send its figures; trying on", "error", err)
		}
		failing = err != nil
	}
}

type event struct {
	Metric string            `json:"metric_name"`
	Value  float64           `json:"value"`
	Tags   map[string]string `json:"tags"`
}

func post(ctx context.Context, client *rest.Client, url string, events []event) error {
	if len(events) == 0 {
		return nil
	}
	answer, err := client.Do(ctx, http.MethodPost, url, events)
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("POST %s answered %d: %.1000s", url, answer.Status, answer.Body)
	}
	return err
}

// sampler reads the machine's figures. A source that this machine does not have
// is left out.
type sampler struct {
	config Config
	before map[string]float64
	at     time.Time
	events []event
}

func (s *sampler) add(name string, value float64, tags ...string) {
	m := map[string]string{"host": s.config.Host}
	for i := 0; i+1 < len(tags); i += 2 {
		m[tags[i]] = tags[i+1]
	}
	s.events = append(s.events, event{name, value, m})
}

// rate adds the growth of a running total per second.
func (s *sampler) rate(now time.Time, name string, total float64, tags ...string) {
	id := fmt.Sprint(name, tags)
	before, known := s.before[id]
	s.before[id] = total
	if dt := now.Sub(s.at).Seconds(); known && dt > 0 && total >= before {
		s.add(name, (total-before)/dt, tags...)
	}
}

func (s *sampler) sample(ctx context.Context) []event {
	s.events = nil
	now := time.Now()
	if cores, err := cpu.PercentWithContext(ctx, 0, true); err == nil && !s.at.IsZero() {
		for i, percent := range cores {
			s.add("machine.cpu.percent", percent, "core", fmt.Sprintf("cpu%02d", i))
		}
	}
	if v, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		s.add("machine.memory.used_percent", v.UsedPercent)
		s.add("machine.memory.bytes", float64(v.Used), "kind", "used")
		s.add("machine.memory.bytes", float64(v.Available), "kind", "available")
	}
	if l, err := load.AvgWithContext(ctx); err == nil {
		s.add("machine.load", l.Load1, "minutes", "1")
		s.add("machine.load", l.Load5, "minutes", "5")
		s.add("machine.load", l.Load15, "minutes", "15")
	}
	if io, err := gnet.IOCountersWithContext(ctx, true); err == nil {
		for _, n := range io {
			if n.BytesRecv+n.BytesSent == 0 {
				continue // It was never used.
			}
			s.rate(now, "machine.network.bytes", float64(n.BytesRecv), "interface", n.Name, "direction", "received")
			s.rate(now, "machine.network.bytes", float64(n.BytesSent), "interface", n.Name, "direction", "sent")
		}
	}
	if disks, err := disk.IOCountersWithContext(ctx); err == nil {
		for _, d := range disks {
			s.rate(now, "machine.disk.bytes", float64(d.ReadBytes), "device", d.Name, "direction", "read")
			s.rate(now, "machine.disk.bytes", float64(d.WriteBytes), "device", d.Name, "direction", "written")
		}
	}
	if totals, err := s.config.Rates(ctx); err == nil {
		for name, total := range totals {
			s.rate(now, "pulseboard.rate", total, "stage", name)
		}
	}
	s.at = now
	return s.events
}
