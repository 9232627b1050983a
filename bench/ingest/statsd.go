package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// Nobody answers over UDP: what is sent faster than it is read is lost. So as many lines a second are sent, in no more datagrams.
const (
	statsdLines     = 300_000
	statsdDatagrams = 60_000
	statsdStreams   = 4 // Of TCP, where senders wait.
)

// statsdNetwork is how a format is sent, "" = it is another's.
func statsdNetwork(format string) string {
	network, _ := strings.CutPrefix(format, "statsd-")
	if network == format {
		return ""
	}
	return network
}

// sendStatsD sends lines for a while and measures the node until Kafka has what it took. Its HTTP port says how many that are.
func (b *bench) sendStatsD(ctx context.Context, n *child, size int) (turn, error) {
	p, err := process.NewProcess(int32(n.cmd.Process.Pid))
	if err != nil {
		return turn{}, err
	}
	datagrams := make([][]byte, 50)
	for i := range datagrams {
		text, err := body(b.format, size, i, time.Now())
		if err != nil {
			return turn{}, err
		}
		datagrams[i] = []byte(text)
	}
	before, err := p.Times()
	if err != nil {
		return turn{}, err
	}
	begin := time.Now()
	if err := b.flood(ctx, n.after(`TCP" service=ingest addr=`), datagrams, size); err != nil {
		return turn{}, err
	}
	var all turn
	all.took = time.Since(begin)
	for all.events = -1; ; { // Until no more are acknowledged.
		now, err := statsdTaken(ctx, n.addr)
		if err != nil {
			return turn{}, err
		}
		if now == all.events {
			break
		}
		all.events = now
		<-time.After(500 * time.Millisecond) // More than a batch waits.
	}
	after, err := p.Times()
	if err != nil {
		return turn{}, err
	}
	all.user, all.system = after.User-before.User, after.System-before.System
	return all, nil
}

// flood sends until the turn is over.
func (b *bench) flood(ctx context.Context, addr string, datagrams [][]byte, size int) error {
	network, senders := statsdNetwork(b.format), 1
	if network == "tcp" {
		senders = statsdStreams
	}
	ctx, cancel := context.WithTimeout(ctx, b.length)
	defer cancel()
	var wg sync.WaitGroup
	failed := make(chan error, senders)
	for range senders {
		wg.Go(func() {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				failed <- err
				return
			}
			defer conn.Close() //nolint:errcheck // Nobody answers.
			_ = conn.SetDeadline(time.Now().Add(b.length))
			begin := time.Now()
			for sent := 0; ctx.Err() == nil; sent++ {
				due := sent
				if network == "udp" {
					due = int(time.Since(begin).Seconds() * min(statsdDatagrams, statsdLines/float64(size)))
				}
				if sent > due {
					<-time.After(time.Millisecond)
					sent--
					continue
				}
				_, _ = conn.Write(datagrams[sent%len(datagrams)]) // At the end it is cut off.
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// statsdTaken is how many events of StatsD Kafka has acknowledged.
func statsdTaken(ctx context.Context, addr string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // It was only read.
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), `pulseboard_ingest_events_accepted_total{format="statsd"} `); ok {
			v, err := strconv.ParseFloat(text, 64)
			return int64(v), err
		}
	}
	return 0, fmt.Errorf("the node at %s does not count events of StatsD", addr)
}
