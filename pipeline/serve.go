package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"pulseboard/internal/service"
)

// OfServing is where the server and its checks register their metrics: nowhere over a
// socket. There pulseboard run asks, which shows those of its own under the same names,
// and /metrics would fail.
func OfServing(addr string, metrics prometheus.Registerer) prometheus.Registerer {
	if strings.HasPrefix(addr, "unix:") {
		return nil
	}
	return metrics
}

// Listen listens on host:port, or on a socket: unix:PATH.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if !isUnix {
		return service.Listen(ctx, "--addr", addr)
	}
	// A socket that a killed process left behind is in the way.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot replace the socket %s: %w", path, err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the socket %s: %w", path, err)
	}
	return ln, nil
}
