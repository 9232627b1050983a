package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// NoForeignJobs asks each listener, as another user where it can be one, what the
// services of Beam answer, those of jobs and those for workers, and wants to be refused.
func NoForeignJobs(t *testing.T, all []Listener) {
	t.Helper()
	dialer := net.Dialer{Timeout: 10 * time.Second}
	for _, l := range all {
		var conn net.Conn
		err := AsNobody(func() (err error) {
			conn, err = dialer.DialContext(t.Context(), l.Network, l.Addr)
			return err
		})
		if errors.Is(err, ErrNotRoot) {
			t.Logf("tried as this user, whose sockets are its own: %v", err)
			if l.Network == "unix" {
				continue
			}
			conn, err = dialer.DialContext(t.Context(), l.Network, l.Addr)
		}
		if err != nil {
			continue // Refused.
		}
		if l.Network == "unix" {
			t.Errorf("another user connects to %s", l)
		}
		if err := servesBeam(t.Context(), conn); err != nil {
			t.Errorf("%s: %v", l, err)
		}
	}
}

// servesBeam is an error when a service of Beam answers on a connection.
func servesBeam(ctx context.Context, conn net.Conn) error {
	dialled := make(chan net.Conn, 1)
	dialled <- conn
	client, err := grpc.NewClient("passthrough:///it", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(func(_ context.Context, _ string) (net.Conn, error) {
		select {
		case c := <-dialled:
			return c, nil
		default:
			return nil, errors.New("it was closed")
		}
	}))
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // It only asked.
	// Long enough for a server of gRPC; another may stay silent for ever.
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for _, method := range []string{
		"org.apache.beam.model.job_management.v1.JobService/GetJobs",
		"org.apache.beam.model.job_management.v1.JobService/Prepare",
		"org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/StartWorker",
		"org.apache.beam.model.fn_execution.v1.ProvisionService/GetProvisionInfo",
		"org.apache.beam.model.fn_execution.v1.BeamFnControl/GetProcessBundleDescriptor",
	} {
		err := client.Invoke(ctx, "/"+method, &emptypb.Empty{}, &emptypb.Empty{})
		if err != nil && strings.Contains(err.Error(), "unexpected content-type") {
			return nil // HTTP/2, and not gRPC.
		}
		switch code := status.Code(err); code {
		case codes.Unavailable, codes.DeadlineExceeded: // No server of gRPC.
			return nil
		case codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented:
		default:
			return fmt.Errorf("%s answers: %w", method, err)
		}
	}
	return nil
}
