package prism

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
)

// pool starts the workers that Prism asks for, as goroutines of this process.
type pool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer

	mu      sync.Mutex
	workers map[string]context.CancelFunc // By id.
}

// StartWorker starts one and returns.
func (p *pool) StartWorker(_ context.Context, r *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	id := r.GetWorkerId()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers[id] != nil {
		return &fnpb.StartWorkerResponse{Error: fmt.Sprintf("there is a worker %q already", id)}, nil
	}
	ctx, cancel := context.WithCancel(grpcx.WriteWorkerID(context.Background(), id))
	p.workers[id] = cancel
	go work(ctx, r)
	return &fnpb.StartWorkerResponse{}, nil
}

// work is the life of a worker.
func work(ctx context.Context, r *fnpb.StartWorkerRequest) {
	info, err := tools.ProvisionInfo(ctx, r.GetProvisionEndpoint().GetUrl())
	if err == nil {
		err = harness.MainWithOptions(ctx, r.GetLoggingEndpoint().GetUrl(), r.GetControlEndpoint().GetUrl(),
			harness.Options{StatusEndpoint: info.GetStatusEndpoint().GetUrl(), RunnerCapabilities: info.GetRunnerCapabilities()})
	}
	if err != nil && ctx.Err() == nil {
		slog.Error("a worker of Prism ended", "worker", r.GetWorkerId(), "error", err)
	}
}

// StopWorker ends one. Prism asks for it when its job has ended.
func (p *pool) StopWorker(_ context.Context, r *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	id := r.GetWorkerId()
	p.mu.Lock()
	defer p.mu.Unlock()
	cancel := p.workers[id]
	if cancel == nil {
		return &fnpb.StopWorkerResponse{Error: fmt.Sprintf("there is no worker %q", id)}, nil
	}
	cancel()
	delete(p.workers, id)
	return &fnpb.StopWorkerResponse{}, nil
}
