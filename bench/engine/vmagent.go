package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"pulseboard/bench/broker"
	"pulseboard/internal/clock"
	"pulseboard/internal/embedded"
)

// aggregated is what vmagent computes: of each series, over one second, which is its shortest interval.
const aggregated = `- interval: 1s
  outputs: [sum_samples, avg, max, min, count_samples]
`

// startVmagent starts one that aggregates all that it gets, and writes that to a server that takes no notice.
func (s *setup) startVmagent(ctx context.Context, path string) (agent *embedded.Child, url string, err error) {
	sink, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	//nolint:gosec // It is asked by one client.
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})}
	go func() { _ = server.Serve(sink) }() // Until it is closed.
	s.closers = append(s.closers, func() { _ = server.Close() })
	free, err := broker.Addresses(ctx, 1)
	if err != nil {
		return nil, "", err
	}
	config := filepath.Join(s.dir, "aggregate.yaml")
	if err := os.WriteFile(config, []byte(aggregated), 0o600); err != nil {
		return nil, "", err
	}
	agent, err = s.start("vmagent", nil, path, "-httpListenAddr="+free[0], "-streamAggr.config="+config, "-remoteWrite.url=http://"+sink.Addr().String(),
		"-remoteWrite.tmpDataPath="+filepath.Join(s.dir, "vmagent"))
	if err != nil {
		return nil, "", err
	}
	url = "http://" + free[0]
	return agent, url + "/write", broker.Until(ctx, agent, "vmagent", func(ctx context.Context) error { return ask(ctx, http.DefaultClient, url+"/health") })
}

func ask(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close() // It was only read.
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, res.Status)
	}
	return err
}

// vmagentLive gives vmagent the load of live.
func (b *bench) vmagentLive(ctx context.Context, r *row, v variant) (figures, error) {
	c := r.content
	c.Lines = true
	s := &setup{bench: b}
	defer s.close()
	agent, url, err := s.startVmagent(ctx, v.path)
	if err != nil {
		return nil, err
	}
	c.Begin = time.Now().Add(3 * time.Second).Truncate(time.Second).UnixMilli()
	c.End = c.Begin + (b.warmUp + b.length + time.Second).Milliseconds()
	load, err := s.startLoadTo(url, &c)
	if err != nil {
		return nil, err
	}
	clock.Sleep(ctx, time.Until(time.UnixMilli(c.Begin).Add(b.warmUp)))
	before, producer := cpu(agent), cpu(load.Child)
	clock.Sleep(ctx, b.length)
	after, rss := cpu(agent), megabytes(agent)
	producer = cpu(load.Child) - producer
	late, err := load.late(ctx)
	return figures{
		{"events/CPU s", float64(c.Rate) * b.length.Seconds() / (after - before), true},
		{"cores: vmagent", (after - before) / b.length.Seconds(), false},
		{"producer", producer / b.length.Seconds(), false},
		{"RSS MB", rss, true},
		{"load late by ms", late, false},
	}, err
}

// vmagentCatchUp gives vmagent as many events as fast as it takes them.
func (b *bench) vmagentCatchUp(ctx context.Context, r *row, v variant) (figures, error) {
	c := b.beforeNow(r)
	c.Lines = true
	s := &setup{bench: b}
	defer s.close()
	agent, url, err := s.startVmagent(ctx, v.path)
	if err != nil {
		return nil, err
	}
	began, before := time.Now(), cpu(agent)
	load, err := s.startLoadTo(url, &c)
	if err != nil {
		return nil, err
	}
	if _, err := load.late(ctx); err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds()
	return figures{
		{"events/CPU s", float64(c.events()) / (cpu(agent) - before), true},
		{"events/s", float64(c.events()) / took, true},
		{"peak MB", peak(agent), true},
	}, nil
}
