package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"

	"pulseboard/bench/broker"
)

// startVmagent starts one that sends what it gets to a server that takes no notice.
func (b *bench) startVmagent(ctx context.Context, path string) (agent *child, end func(), err error) {
	sink, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	//nolint:gosec // It is asked by one client.
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})}
	go func() { _ = server.Serve(sink) }() // Until it is closed.
	free, err := broker.Addresses(ctx, 1)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "vmagent-")
	if err != nil {
		return nil, nil, err
	}
	agent, err = start(ctx, path, []string{"-httpListenAddr=" + free[0], "-remoteWrite.url=http://" + sink.Addr().String(), "-remoteWrite.tmpDataPath=" + dir}, "started server at http://")
	if err != nil {
		return nil, nil, err
	}
	agent.addr = free[0]
	return agent, func() {
		agent.end()
		_ = server.Close()
	}, nil
}
