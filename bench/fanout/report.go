package main

import (
	"encoding/json"
	"os"
	"strings"
	"time"

	"pulseboard/bench/fanout/proc"
	"pulseboard/bench/fanout/setting"
)

// report is the file of --json. Its fields are explained in README.md.
type report struct {
	Ready        time.Time      `json:"ready"`
	Ended        *time.Time     `json:"ended,omitempty"`
	Redis        string         `json:"redis"`
	Gateways     []gatewayFacts `json:"gateways"`
	Widgets      int            `json:"widgets"`
	Series       int            `json:"series"`
	History      int            `json:"history"`
	Held         int            `json:"held_streams"` // On each gateway, by this program.
	DashboardIDs []string       `json:"dashboard_ids"`

	Publishing *setting.Published `json:"publishing,omitempty"`
	Killed     *killFacts         `json:"killed,omitempty"`
	BusyCores  float64            `json:"busy_cores,omitempty"`   // All processes of the machine, on average.
	OwnCores   float64            `json:"own_cores,omitempty"`    // This one, Redis and the gateways.
	Stolen     float64            `json:"stolen_cores,omitempty"` // By other virtual machines.
}

type gatewayFacts struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Addr   string `json:"addr"`
	Pid    int    `json:"pid"`
	Starts int    `json:"starts"`

	CPU            float64 `json:"cpu_s,omitempty"` // Of its last start.
	MostStreams    int     `json:"most_streams,omitempty"`
	MostRSS        int64   `json:"most_rss_bytes,omitempty"`
	BytesPerStream float64 `json:"bytes_per_stream,omitempty"` // RSS more than with the held streams only, when there were most.
}

type killFacts struct {
	At        time.Time     `json:"at"`
	Streams   int           `json:"streams"`
	HealthyMs int64         `json:"healthy_ms"`
	BackMs    map[int]int64 `json:"back_ms"` // By percent.
}

func (b *bench) report(ended bool) report {
	r := report{
		Ready: b.since, Redis: b.setting.Redis(), Widgets: b.o.Widgets, Series: b.o.Series, History: b.o.History, Held: b.streamsHeld(), DashboardIDs: b.setting.IDs,
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, g := range b.gateways {
		f := gatewayFacts{Name: g.Name, URL: "http://" + g.Addr, Addr: g.Addr, Pid: g.Pid(), Starts: g.Starts()}
		for n, s := range b.usages[i] {
			f.MostRSS = max(f.MostRSS, s.usage.RSS)
			if s.connections < f.MostStreams {
				continue
			}
			f.MostStreams = s.connections
			if per, ok := bytesPerConnection(b.usages[i][:n+1], b.streamsHeld()); ok {
				f.BytesPerStream = per
			}
		}
		if u, err := g.Usage(); err == nil {
			f.CPU = u.CPU
		}
		r.Gateways = append(r.Gateways, f)
	}
	if k := b.killed; k != nil {
		f := &killFacts{At: k.at, Streams: k.streams, HealthyMs: k.healthy.Milliseconds(), BackMs: map[int]int64{}}
		for p, d := range k.back {
			f.BackMs[p] = d.Milliseconds()
		}
		r.Killed = f
	}
	if ended {
		now := time.Now()
		r.Ended = &now
		p := b.setting.Publisher().Published(b.since.UnixMilli(), now.UnixMilli())
		r.Publishing = &p
		m, took := proc.LookAtMachine(), now.Sub(b.since).Seconds()
		r.BusyCores, r.Stolen = (m.Busy-b.machine.Busy)/took, (m.Stolen-b.machine.Stolen)/took
		r.OwnCores = (proc.Family(os.Getpid()) - b.family) / took
	}
	return r
}

// end tells what there is to tell.
func (b *bench) end() error {
	if b.since.IsZero() {
		return nil // It never was ready.
	}
	r := b.report(true)
	p := r.Publishing
	b.printf("\npublished %d results of %d ends in %v, refused %d\n", p.Results, p.Ends, r.Ended.Sub(r.Ready).Round(time.Second), p.Refused)
	b.printf("window end → PUBLISH done: %s; of the last result of each end: %s\n", p.Lateness, p.Last)
	if p.Lateness.P99 > lateLimit {
		b.printf("**Publishing was late: delays of this run say little about the gateway.** Is the machine busy with something else?\n")
	}
	for _, g := range r.Gateways {
		b.printf("%s: at most %d streams and %.1f MB, %.1f s of CPU since its last start", g.Name, g.MostStreams, mb(g.MostRSS), g.CPU)
		if g.BytesPerStream > 0 {
			b.printf(", %.1f KiB for each stream", g.BytesPerStream/1024)
		}
		b.printf("\n")
	}
	if b.killed != nil {
		b.printf("%s\n", b.killed)
	}
	b.printf("the machine: %.2f cores busy, of these %.2f with Redis, gateways and publisher; %.2f taken by other machines\n", r.BusyCores, r.OwnCores, r.Stolen)
	return b.write(r)
}

// Above this the setting, and not the gateway, is what delays: ms.
const lateLimit = 150

func (b *bench) write(r report) error {
	if b.o.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return setting.WriteFile(b.o.json, append(text, '\n'))
}

func (b *bench) writeIDs() error {
	if b.o.ids == "" {
		return nil
	}
	return setting.WriteFile(b.o.ids, []byte(strings.Join(b.setting.IDs, ",")+"\n"))
}
