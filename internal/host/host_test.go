package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pulseboard/internal/auth"
	"pulseboard/internal/conf"
	"pulseboard/internal/host"
	"pulseboard/internal/service"
)

// run is a process with these arguments.
func run(ctx context.Context, args []string, start func(context.Context, *host.Host) error) error {
	var o host.Options
	f := conf.New("test", "")
	o.Flags(f, "127.0.0.1:0", slog.LevelInfo, auth.Edit)
	env := service.Env{Args: args, Getenv: func(string) string { return "" }, Stdout: io.Discard, Stderr: io.Discard}
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	return host.Run(ctx, env, "test", o, start)
}

// An address that others can reach is refused without tokens, and says what to
// do; a tokens file that is not there is refused too.
func TestRunRefusesToBeOpen(t *testing.T) {
	started := func(context.Context, *host.Host) error {
		t.Error("it was started")
		return nil
	}
	const want = `--addr is "0.0.0.0:0", which other machines can reach, and without tokens they all may do everything: make a token with ` +
		`"pulseboard token create --name me --scopes edit --file tokens.yaml" and add --tokens tokens.yaml, or listen on 127.0.0.1:0`
	if err := run(t.Context(), []string{"--addr", "0.0.0.0:0"}, started); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if err := run(t.Context(), []string{"--addr", "0.0.0.0:0", "--tokens", t.TempDir() + "/none"}, started); err == nil || !strings.Contains(err.Error(), "make it with pulseboard token create") {
		t.Errorf("%v", err)
	}
}

// Requests under way end before the parts that answer them, and those in the reverse
// of the order in which they were started.
func TestRunEndsInTheReverseOrder(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	asked, answered := make(chan struct{}), make(chan error, 1)
	var ended []string
	err := run(ctx, nil, func(ctx context.Context, h *host.Host) error {
		h.Cleanup(ctx, "store", func() error { ended = append(ended, "store"); return errors.New("of no consequence") })
		running := make(chan struct{})
		h.Start(ctx, "part", func(ctx context.Context) error {
			close(running)
			<-ctx.Done()
			ended = append(ended, "part")
			return ctx.Err()
		})
		<-running
		h.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(asked)
			<-ctx.Done() // The end has begun.
			ended = append(ended, "request")
			w.WriteHeader(http.StatusNoContent)
		}))
		go func() {
			res, err := http.Get("http://" + h.Listener.Addr().String())
			if err == nil {
				_ = res.Body.Close()
			}
			answered <- err
		}()
		go func() {
			<-asked
			end()
		}()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if want := []string{"request", "part", "store"}; !slices.Equal(ended, want) {
		t.Errorf("ended %q, want %q", ended, want)
	}
}

// Profiles are served only where a flag names a folder, and end last.
func TestProfiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, args := range [][]string{nil, {"--pprof", "profiles"}} {
		ctx, end := context.WithCancel(t.Context())
		socket := filepath.Join(dir, "profiles", fmt.Sprint("test-", os.Getpid()))
		err := run(ctx, args, func(ctx context.Context, h *host.Host) error {
			h.Cleanup(ctx, "part", func() error {
				if _, err := os.Stat(socket); (err == nil) != (args != nil) {
					t.Errorf("with %q: %v", args, err)
				}
				return nil
			})
			end()
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(socket); err == nil {
			t.Error("the socket is left behind")
		}
	}
	if err := os.Chmod("profiles", 0o755); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"--pprof", "profiles"}, func(context.Context, *host.Host) error { return errors.New("it was started") })
	if err == nil || !strings.Contains(err.Error(), "others than its user may use the folder "+filepath.Join(dir, "profiles")) {
		t.Errorf("%v", err)
	}
}

// A part that fails ends the whole, which names it.
func TestAPartThatFailsEndsTheWhole(t *testing.T) {
	fault := errors.New("it is broken")
	var closed bool
	err := run(t.Context(), nil, func(ctx context.Context, h *host.Host) error {
		h.Cleanup(ctx, "store", func() error { closed = true; return nil })
		h.Start(ctx, "part", func(context.Context) error { return fault })
		return nil
	})
	if !errors.Is(err, fault) || err.Error() != "part: it is broken" || !closed {
		t.Errorf("%v, closed %v", err, closed)
	}
	err = run(t.Context(), nil, func(ctx context.Context, h *host.Host) error {
		h.Cleanup(ctx, "store", func() error { closed = false; return nil })
		return fault
	})
	if !errors.Is(err, fault) || closed {
		t.Errorf("a start that fails: %v, closed %v", err, !closed)
	}
}
