// Package prism runs Beam jobs on Prism in this process, out of reach of other processes.
//
// Beam's own way opens a port on all addresses of the machine, without authentication: a client may have Prism
// run any program. The pool of workers has a second port. Here both services listen in memory only:
//
//	Execute ─▶ job service ─┐                      ┌─ harness (the DoFns)
//	            of Prism    ├─ listeners in memory ┤
//	Prism ───▶ worker pool ─┘                      └─ control, data, state, logging
//
// Beam has no option for that, so that this package reaches for three names that Beam
// and gRPC keep to themselves (docs/adr/0013-prism-without-a-port.md). A version in
// which they are others is refused, or does not link.
package prism

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	_ "unsafe" // For go:linkname.

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism" // It is Prism.
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// beamVersion is the one whose jobservices.Server begins as server says.
const beamVersion = "2.77.0"

// server is how jobservices.Server begins; TestServerIsThatOfBeam compares the two.
type server struct {
	jobpb.UnimplementedJobServiceServer
	jobpb.UnimplementedArtifactStagingServiceServer
	jobpb.UnimplementedArtifactRetrievalServiceServer
	fnpb.UnimplementedProvisionServiceServer

	lis    net.Listener
	server *grpc.Server
}

type job struct{ _ byte } // A jobservices.Job, which only Prism looks into.

//go:linkname newServer github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism/internal/jobservices.NewServer
func newServer(port int, execute func(*job)) *server

//go:linkname runPipeline github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism/internal.RunPipeline
func runPipeline(j *job)

// A func(...grpc.DialOption): options of every connection that sets none itself. What dials by another way, past
// gRPC's default dialer, would reach a port of that number on this machine, which may be another user's.
//
//go:linkname addGlobalDialOptions google.golang.org/grpc/internal.AddGlobalDialOptions
var addGlobalDialOptions any //nolint:gochecknoglobals // It is gRPC's.

// Execute runs a pipeline and waits for its end.
func Execute(ctx context.Context, p *beam.Pipeline) (beam.PipelineResult, error) {
	if err := start(); err != nil {
		return nil, err
	}
	return universal.Execute(ctx, p)
}

// poolName is the address of the worker pool in the options of a job; the dialer below resolves it. No network does.
const poolName = "workers.pulseboard.invalid:1"

// buffered is how much may lie in a connection, in either direction: twice what gRPC writes at once.
const buffered = 64 << 10

// start starts Prism once a process, as Beam does: its options are flags of the process.
var start = sync.OnceValue(func() error { //nolint:gochecknoglobals // As it says.
	if core.SdkVersion != beamVersion {
		return fmt.Errorf("cannot start Prism: package internal/prism is made for Beam %s, and this is %s", beamVersion, core.SdkVersion)
	}
	s := newServer(0, runPipeline)
	_, port, err := net.SplitHostPort(s.lis.Addr().String())
	if err != nil {
		return fmt.Errorf("cannot start Prism: it listens on %s: %w", s.lis.Addr(), err)
	}
	// Closed before anything was accepted: its port is only a name from here on.
	if err := s.lis.Close(); err != nil {
		return fmt.Errorf("cannot close the port of Prism: %w", err)
	}
	name := "localhost:" + port // Prism passes it to workers as the address of its services.
	jobs, workers := bufconn.Listen(buffered), bufconn.Listen(buffered)
	pools := grpc.NewServer()
	fnpb.RegisterBeamFnExternalWorkerPoolServer(pools, &pool{workers: make(map[string]context.CancelFunc)})
	addGlobalDialOptions.(func(...grpc.DialOption))(grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		switch addr {
		case name:
			return jobs.DialContext(ctx)
		case poolName:
			return workers.DialContext(ctx)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}))
	// Both serve as long as the process lives, and end with nothing else.
	go func() { _ = s.server.Serve(jobs) }()
	go func() { _ = pools.Serve(workers) }()
	*jobopts.Endpoint, *jobopts.EnvironmentType, *jobopts.EnvironmentConfig = name, "external", poolName
	*jobopts.WorkerBinary = os.DevNull // Workers are goroutines: else the SDK would compile a program for them.
	return nil
})
