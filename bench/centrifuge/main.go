// Command centrifuge is a small server on github.com/centrifugal/centrifuge that
// hands on the frames of a Pulseboard gateway: one channel for each dashboard,
// JSON over WebSocket, memory broker. It is what the gateway's fan-out is
// compared with; bench/fanout/compare starts it. It is a module of its own, so
// that Pulseboard does not depend on what it is compared with.
//
//	gateway ──WS /stream/{id}──▶ feed ──Publish(id, frame)──▶ centrifuge ──▶ clients
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const about = `centrifuge hands on the frames of a Pulseboard gateway with the library of that name:
one channel for each dashboard, named as its id. Clients connect without a token to
/connection/websocket and subscribe. /metrics, /feed and /healthz (200 once every
channel is fed) tell how it is.

  centrifuge --gateway 127.0.0.1:8083 --ids-file ids

Flags:
`

type options struct {
	gateway, addr, idsFile string
	setup                  setup
	writeDelay             time.Duration
}

func main() { os.Exit(start()) } //nolint:forbidigo // It is main.

// start returns the exit code.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintf(os.Stderr, "centrifuge: %v\n", err) // There is no other place for it.
	return 1
}

func parse(args []string, help io.Writer) (o options, ids []string, err error) {
	f := flag.NewFlagSet("centrifuge", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.addr, "addr", "127.0.0.1:0", "`host:port` to listen on; port 0 = a free one, which the log names")
	f.StringVar(&o.gateway, "gateway", "", "`host:port` of the gateway that feeds it")
	f.StringVar(&o.idsFile, "ids-file", "", "`file` with the ids of the dashboards, separated by commas")
	f.TextVar(&o.setup, "setup", setupTuned, "default = the library's defaults and its pool of write buffers;\ntuned = also what its documentation offers for many quiet connections")
	f.DurationVar(&o.writeDelay, "write-delay", 0, "collect messages of a connection for this `duration` before they are written,\nby a timer and not by a goroutine for each connection; 0 = write at once")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(help)
		_, _ = io.WriteString(help, about)
		f.PrintDefaults()
		return o, nil, err
	case err != nil:
		return o, nil, fmt.Errorf("%w (see --help)", err)
	}
	switch {
	case f.NArg() > 0:
		return o, nil, fmt.Errorf("unexpected argument %q (see --help)", f.Arg(0))
	case o.gateway == "" || o.idsFile == "":
		return o, nil, errors.New("--gateway and --ids-file must be given (see --help)")
	case o.writeDelay < 0:
		return o, nil, fmt.Errorf("--write-delay is %v: it must not be below 0", o.writeDelay)
	}
	text, err := os.ReadFile(o.idsFile)
	if err != nil {
		return o, nil, fmt.Errorf("cannot read the ids of the dashboards: %w", err)
	}
	for id := range strings.SplitSeq(strings.TrimSpace(string(text)), ",") {
		if id == "" {
			return o, nil, fmt.Errorf("%s holds an empty id: it must be ids separated by commas", o.idsFile)
		}
		ids = append(ids, id)
	}
	return o, ids, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, ids, err := parse(args, stdout)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	node, err := newNode(o, log)
	if err != nil {
		return err
	}
	if err := node.Run(); err != nil {
		return fmt.Errorf("cannot run the node: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", o.addr, err)
	}
	fed := newFeed(o.gateway, node, log, len(ids))
	srv := &http.Server{Handler: routes(node, o, fed), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	log.Info("listening", "addr", ln.Addr().String(), "setup", string(o.setup))

	feeding, stop := context.WithCancel(ctx)
	defer stop()
	fed.start(feeding, ids)
	select {
	case <-ctx.Done():
	case err = <-ended:
		err = fmt.Errorf("cannot serve HTTP on %s: %w", ln.Addr(), err)
	}
	stop()
	fed.wait()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	_ = srv.Shutdown(limited)  // It ends with this process.
	_ = node.Shutdown(limited) // Its clients too.
	return err
}
